// A shared library that loses an object. Part of suppressed_module.
#include "support.h"

void lib_leaks(void *unused) {
  (void)unused;
  use(malloc(4242));
  __asm__ volatile("");
}
