// A heap object whose only pointer is the argument of a registered exit handler is reachable.
// EXPECT: clean
#include "support.h"

extern int __cxa_atexit(void (*)(void *), void *, void *);
extern int __lsan_do_recoverable_leak_check(void);

static void handler(void *argument) { free(argument); }

static void build(void *unused) {
  (void)unused;
  CHECK(__cxa_atexit(handler, malloc(4242), NULL) == 0);
}

int main(void) {
  clean_call(build, NULL);
  return __lsan_do_recoverable_leak_check();
}
