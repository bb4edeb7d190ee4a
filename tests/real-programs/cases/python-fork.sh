# needs: python3
# Processes by fork, pools, pipes, shared memory, asyncio with subprocesses and loopback sockets, signals, an exception at exit.
. "$LIB"
cat >work.py <<'PY'
import asyncio, atexit, multiprocessing, os, signal, subprocess, sys, threading
from multiprocessing import shared_memory

def square(n): return sum(i * i for i in range(n))

def main():
    multiprocessing.set_start_method("fork")
    with multiprocessing.Pool(4) as pool:
        print(sum(pool.map(square, range(200))))
    m = shared_memory.SharedMemory(create=True, size=4096)
    pid = os.fork()
    if pid == 0:
        m.buf[:5] = b"hello"; os._exit(3)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), bytes(m.buf[:5])); m.close(); m.unlink()
    # fork while other threads allocate
    stop = threading.Event()
    def busy():
        while not stop.is_set(): [bytes(n) for n in range(500)]
    threads = [threading.Thread(target=busy) for _ in range(4)]
    for t in threads: t.start()
    codes = []
    for i in range(20):
        pid = os.fork()
        if pid == 0:
            [bytearray(n) for n in range(3000)]; os._exit(i)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    stop.set(); [t.join() for t in threads]
    print(codes)
    got = []
    signal.signal(signal.SIGUSR1, lambda *_: got.append(1))
    for _ in range(100): os.kill(os.getpid(), signal.SIGUSR1)
    print(len(got))
    async def echo(reader, writer):
        writer.write((await reader.read(100))[::-1]); await writer.drain(); writer.close()
    async def client(port, i):
        r, w = await asyncio.open_connection("127.0.0.1", port)
        w.write(b"%05d" % i); w.write_eof(); data = await r.read(); w.close(); return data
    async def run():
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        answers = await asyncio.gather(*[client(port, i) for i in range(60)])
        p = await asyncio.create_subprocess_exec("sort", "-n", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        out, _ = await p.communicate(b"3\n1\n2\n")
        server.close(); await server.wait_closed()
        print(sorted(answers)[:3], out.split())
    asyncio.run(run())
    atexit.register(print, "at exit")
main()
sys.exit(5)
PY
set +e; python3 work.py; echo "status $?"
python3 -c 'raise ValueError("as expected")' 2>&1 | tail -1
exit 0
