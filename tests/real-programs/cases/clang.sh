# needs: clang-19 opt-19 llc-19
# C and C++ to objects, bitcode through opt and llc.
. "$LIB"
awk 'BEGIN { print "#include <stdio.h>"; for (i = 0; i < 200; i++) printf "int f%d(int *p, int n) { int r = %d; for (int i = 0; i < n; i++) r = r * 31 + (p[i %% 8] ^= r); return r; }\n", i, i;
  print "int main(void) { int v[8] = {0}; unsigned r = 0;"; for (i = 0; i < 200; i++) printf "r += f%d(v, %d);\n", i, i + 10; print "printf(\"%u\\n\", r); return 0; }" }' >big.c
clang-19 -O2 -Wall big.c -o big; ./big
clang-19 -O0 -emit-llvm -c big.c -o big.bc; opt-19 -O3 big.bc -o opt.bc; llc-19 opt.bc -o big.s; sums opt.bc big.s
cat >t.cc <<'CC'
#include <map>
#include <string>
#include <cstdio>
#include <stdexcept>
int main() { std::map<std::string, int> m; for (int i = 0; i < 1000; i++) m[std::to_string(i % 37)] += i; try { m.at("none"); } catch (std::out_of_range &) { puts("caught"); } printf("%zu %d\n", m.size(), m["5"]); }
CC
clang++-19 -O1 -g t.cc -o t; ./t
printf 'int main(void) { int unused; return undeclared; }\n' >bad.c
set +e; clang-19 -Wall -c bad.c; echo "status $?"
exit 0
