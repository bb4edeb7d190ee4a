# needs: java javac
# Compiles and runs a class with threads, streams, exceptions, loopback sockets and a shutdown hook.
. "$LIB"
cat >Work.java <<'J'
import java.util.*; import java.util.concurrent.*; import java.util.stream.*; import java.net.*; import java.io.*; import java.nio.*; import java.util.zip.*;
public class Work {
  record P(int id, String name) {}
  public static void main(String[] a) throws Exception {
    ExecutorService pool = Executors.newFixedThreadPool(8);
    List<Future<Long>> fs = new ArrayList<>();
    for (int t = 0; t < 16; t++) { final int n = t; fs.add(pool.submit(() -> { long s = 0; Map<Integer, String> m = new HashMap<>(); for (int i = 0; i < 20000; i++) { m.put(i, "v" + i * n); s += m.get(i).hashCode() & 15; } return s; })); }
    long sum = 0; for (Future<Long> f : fs) sum += f.get(); System.out.println(sum);
    System.out.println(IntStream.range(0, 50000).parallel().mapToObj(i -> new P(i, "n" + i % 10)).collect(Collectors.groupingBy(P::name, Collectors.counting())).get("n3"));
    try (ServerSocket s = new ServerSocket(0, 50, InetAddress.getLoopbackAddress())) {
      Thread srv = new Thread(() -> { try { for (int i = 0; i < 10; i++) try (Socket c = s.accept()) { c.getOutputStream().write(("hello " + i).getBytes()); } } catch (IOException e) { e.printStackTrace(); } });
      srv.start();
      for (int i = 0; i < 10; i++) try (Socket c = new Socket(s.getInetAddress(), s.getLocalPort())) { String t = new String(c.getInputStream().readAllBytes()); if (i == 9) System.out.println(t); }
      srv.join();
    }
    ByteBuffer[] direct = new ByteBuffer[100]; for (int i = 0; i < 100; i++) direct[i] = ByteBuffer.allocateDirect(10000);
    Deflater d = new Deflater(); d.setInput(new byte[100000]); d.finish(); System.out.println(d.deflate(new byte[1000])); d.end();
    try { deep(0); } catch (StackOverflowError e) { System.out.println("stack overflow caught"); }
    try { Object[] o = new Object[Integer.MAX_VALUE]; System.out.println(o.length); } catch (OutOfMemoryError e) { System.out.println("out of memory caught"); }
    try { Object o = null; o.hashCode(); } catch (NullPointerException e) { System.out.println("null caught"); }
    System.gc(); pool.shutdown();
    Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println("hook")));
    System.exit(8);
  }
  static int deep(int n) { return deep(n + 1) + 1; }
}
J
javac -J-Xmx256m -d . Work.java
set +e; java -Xmx128m -Xss512k -cp . Work; echo "status $?"
exit 0
