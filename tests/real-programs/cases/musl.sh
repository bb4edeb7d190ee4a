# needs: musl-gcc
# file: /lib/ld-musl-x86_64.so.1
# A program of another libc, which has another loader, and its children of this one.
. "$LIB"
printf '#include <pthread.h>\n#include <stdio.h>\n#include <stdlib.h>\nstatic void *w(void *a) { for (int i = 1; i < 1000; i++) free(malloc(i)); return a; }\nint main(int c, char **v) { pthread_t t[4]; for (int i = 0; i < 4; i++) pthread_create(t + i, 0, w, 0); for (int i = 0; i < 4; i++) pthread_join(t[i], 0); puts("musl"); fflush(stdout); if (c > 1) return system("echo child; exit 3") >> 8; return 4; }\n' >p.c; musl-gcc -o m p.c; musl-gcc -static -o ms p.c; set +e; for p in m ms; do "./$p"; echo "status $?"; "./$p" x; echo "status $?"; done; exit 0
