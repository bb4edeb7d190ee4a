# needs: ruby
# Objects, threads, fibers (stacks of their own), fork, compaction of the heap, C extensions.
. "$LIB"
cat >work.rb <<'RB'
require 'json'; require 'digest'; require 'zlib'; require 'set'; require 'stringio'; require 'yaml'; require 'open3'
data = (0...3000).map { |i| { 'id' => i, 'name' => "n#{i % 31}", 'v' => [i, i * 2] } }
puts Digest::SHA256.hexdigest(JSON.generate(data))
puts JSON.parse(JSON.generate(data)).group_by { |r| r['name'] }.map { |k, v| [k, v.size] }.sort.first(3).inspect
q = Queue.new; m = Mutex.new; sum = 0
workers = 6.times.map { Thread.new { while (n = q.pop) != :end; z = Zlib::Inflate.inflate(Zlib::Deflate.deflate("abc" * n)); m.synchronize { sum += z.size }; end } }
500.times { |i| q << i }; 6.times { q << :end }; workers.each(&:join); puts sum
fibers = 200.times.map { |i| Fiber.new { 3.times { |k| Fiber.yield "#{i}:#{k}" * 3 }; :done } }
puts 4.times.map { fibers.map(&:resume).last }.inspect
pids = 5.times.map { |i| fork { a = (0..10000).map(&:to_s); GC.start; exit!(a.size % 7 + i) } }
puts pids.map { |p| Process.wait2(p)[1].exitstatus }.inspect
GC.start; GC.compact if GC.respond_to?(:compact)
puts YAML.load(data.first(50).to_yaml) == data.first(50)
out, st = Open3.capture2('tr a-z A-Z', stdin_data: 'through a pipe'); puts out, st.exitstatus
e = Enumerator.new { |y| a, b = 0, 1; loop { y << a; a, b = b, a + b } }; puts e.lazy.select(&:even?).first(8).inspect
puts (1..2000).reduce(:*).to_s.size
at_exit { puts 'at exit' }
exit 4
RB
set +e; ruby work.rb; echo "status $?"
exit 0
