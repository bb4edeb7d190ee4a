# needs: gcc
# Compiles a big C file with cc1 -O2 and runs it; a file with errors fails as it should.
. "$LIB"
awk 'BEGIN { print "#include <stdio.h>\n#include <string.h>\nstruct s { int a, b; double d; char t[16]; };";
  for (i = 0; i < 80; i++) printf "static int f%d(struct s *p, int n) { int r = %d; for (int i = 0; i < n; i++) { r = r * 31 + p[i %% 8].a; if (r & %d) p[i %% 8].b ^= r; else p[i %% 8].d += r; switch (r & 7) { case 0: r += 3; break; case 1: r ^= n; break; case 5: r = ~r; } } return r; }\n", i, i, i % 13 + 1;
  print "int main(void) { struct s v[8]; memset(v, 0, sizeof v); unsigned r = 0;"; for (i = 0; i < 80; i++) printf "r += f%d(v, %d);\n", i, i + 10; print "printf(\"%u\\n\", r); return 0; }" }' >big.c
gcc -O2 -g -Wall big.c -o big; ./big; gcc -O1 -S -o - big.c | grep -c call || true
gcc -O2 -c big.c -o big.o; sums big.o
gcc -flto -O2 big.c -o lto; ./lto
printf 'int main(void) { int unused; return undeclared; }\n' >bad.c
set +e; gcc -Wall -c bad.c; echo "status $?"
exit 0
