// A heap object whose only pointer is in a global variable of a linked shared library is reachable.
// LIBRARY: lib_global.c
// EXPECT: clean
// EXPECT-WITH use_globals=0: some leak of 4242 bytes in 1 object
#include "support.h"

extern void lib_global_keep(void *pointer);

static void build(void *unused) {
  (void)unused;
  lib_global_keep(malloc(4242));
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
