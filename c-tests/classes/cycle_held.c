// A cycle that a lost object points to is indirect as a whole.
// EXPECT: direct 700 bytes in 1 object, indirect 1000 bytes in 2 objects
#include "support.h"

static void build(void *unused) {
  (void)unused;
  void **a = (void **)memset(malloc(500), 0, 500), **b = (void **)memset(malloc(500), 0, 500),
       **holder = (void **)memset(malloc(700), 0, 700);
  a[1] = b;
  b[2] = a;
  holder[50] = b;
  use(holder);
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
