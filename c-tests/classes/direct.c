// An object that nothing points to is a direct leak.
// EXPECT: direct 4242 bytes in 1 object, indirect 0 bytes in 0 objects
#include "support.h"

static void build(void *unused) {
  (void)unused;
  use(malloc(4242));
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
