// A lost cycle has one head: one direct leak, the rest indirect.
// REFERENCE: calls every member of a cycle indirect
// EXPECT: direct 500 bytes in 1 object, indirect 1000 bytes in 2 objects
#include "support.h"

static void build(void *unused) {
  (void)unused;
  void **a = (void **)memset(malloc(500), 0, 500), **b = (void **)memset(malloc(500), 0, 500),
       **c = (void **)memset(malloc(500), 0, 500);
  a[1] = b;
  b[2] = c;
  c[3] = a;
  use(a);
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
