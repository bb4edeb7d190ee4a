// A cycle with one pointer from a global variable is reachable as a whole.
// EXPECT: clean
// EXPECT-WITH use_globals=0: some leak of 500 bytes in 1 object
#include "support.h"

static void *volatile root;

static void build(void *unused) {
  (void)unused;
  void **a = (void **)memset(malloc(500), 0, 500), **b = (void **)memset(malloc(500), 0, 500);
  a[1] = b;
  b[2] = a;
  root = b;
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
