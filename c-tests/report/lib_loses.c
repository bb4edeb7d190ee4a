// A library that loses an object. Part of unloaded_module.
#include "support.h"

void lib_loses(void) {
  use(malloc(4242));
  __asm__ volatile("");
}
