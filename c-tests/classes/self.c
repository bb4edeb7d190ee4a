// An object that points only to itself is a direct leak.
// EXPECT: direct 4242 bytes in 1 object, indirect 0 bytes in 0 objects
#include "support.h"

static void build(void *unused) {
  (void)unused;
  void **object = (void **)memset(malloc(4242), 0, 4242);
  object[3] = object;
  object[4] = object + 7;
  use(object);
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
