// A heap object whose only pointer is in initialised data (.data) is reachable.
// EXPECT: clean
// EXPECT-WITH use_globals=0: some leak of 4242 bytes in 1 object
#include "support.h"

static void *volatile root = (void *)1;

static void build(void *unused) {
  (void)unused;
  root = malloc(4242);
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
