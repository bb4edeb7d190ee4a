# needs: g++
# Templates, containers, exceptions and threads: compiled and run.
. "$LIB"
cat >t.cc <<'CC'
#include <algorithm>
#include <atomic>
#include <future>
#include <iostream>
#include <map>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>
template <int N> struct Fib { static constexpr long value = Fib<N - 1>::value + Fib<N - 2>::value; };
template <> struct Fib<1> { static constexpr long value = 1; };
template <> struct Fib<0> { static constexpr long value = 0; };
struct alignas(64) Wide { char c[192]; };
struct Base { virtual ~Base() = default; virtual int f() const = 0; };
template <int K> struct D : Base { std::vector<int> v = std::vector<int>(K + 1, K); int f() const override { return std::accumulate(v.begin(), v.end(), 0); } };
static int thrower(int n) { std::string s(n, 'x'); if (n % 3 == 0) throw std::runtime_error("three " + s); if (n % 5 == 0) throw n; return n; }
int main() {
  std::cout << Fib<60>::value << "\n";
  std::vector<std::unique_ptr<Base>> bs; bs.emplace_back(new D<3>); bs.emplace_back(new D<50>); bs.emplace_back(new D<700>);
  int s = 0; for (auto &b : bs) s += b->f(); std::cout << s << "\n";
  int a = 0, b = 0; for (int i = 0; i < 3000; i++) try { thrower(i); } catch (std::exception &e) { a++; } catch (int) { b++; }
  std::cout << a << " " << b << "\n";
  std::vector<std::future<long>> fs; for (int t = 0; t < 8; t++) fs.push_back(std::async(std::launch::async, [t] { std::map<std::string, int> m; for (int i = 0; i < 3000; i++) m[std::to_string(i * t)]++; return long(m.size()); }));
  long n = 0; for (auto &f : fs) n += f.get(); std::cout << n << "\n";
  auto *w = new Wide[10]; std::cout << (reinterpret_cast<size_t>(w) % 64) << "\n"; delete[] w;
  try { new char[size_t(1) << 62]; } catch (std::bad_alloc &) { std::cout << "bad_alloc\n"; }
  auto shared = std::make_shared<std::unordered_map<int, std::shared_ptr<int>>>(); for (int i = 0; i < 1000; i++) (*shared)[i] = std::make_shared<int>(i);
  std::atomic<int> c{0}; std::vector<std::thread> ts; for (int i = 0; i < 20; i++) ts.emplace_back([shared, &c, i] { c += *(*shared)[i]; }); for (auto &t : ts) t.join(); std::cout << c << "\n";
}
CC
g++ -std=c++17 -O1 -g t.cc -o t -pthread; ./t
printf '#include <vector>\nint main() { std::vector<int> v; v.push_back("text"); }\n' >bad.cc
set +e; g++ -c bad.cc 2>err; echo "status $?"; grep -c error err
exit 0
