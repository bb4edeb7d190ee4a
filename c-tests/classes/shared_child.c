// An object that two lost objects point to is indirect and counted once; to free one of them would not free it.
// EXPECT: direct 3000 bytes in 2 objects, indirect 300 bytes in 1 object
// STDERR-NOT: which keep
#include "support.h"

static void build(void *unused) {
  (void)unused;
  void **one = (void **)memset(malloc(1000), 0, 1000), **two = (void **)memset(malloc(2000), 0, 2000);
  one[1] = two[2] = memset(malloc(300), 0, 300);
  use(one);
  use(two);
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
