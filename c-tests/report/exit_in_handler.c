// exit() called again in an exit handler, and a handler that registers another one: each handler runs once, the check once.
// REFERENCE: loses what is still in the buffer
// EXPECT: leak 4242 bytes in 1 object
// STDOUT: ^abc$
// STDERR-NOT: (SUMMARY[\s\S]*){2}
#include "support.h"

static void third(void) { printf("c"); }
static void second(void) {
  printf("b");
  atexit(third);
  exit(9);
}
static void first(void) {
  printf("a");
  fflush(stdout);
}

static void lose(void *unused) {
  (void)unused;
  use(malloc(4242));
}

#ifndef __GLIBC__
/* As old as the lock of musl's exit. */
extern void posix_getdents(void) __attribute__((weak));
#endif

int main(void) {
#ifndef __GLIBC__
  if (posix_getdents) skip("musl since 1.2.6 crashes when exit is called again");
#endif
  clean_call(lose, NULL);
  atexit(second);
  atexit(first);
  return 0;
}
