// What only a lost object points to is an indirect leak, through any number of steps.
// EXPECT: direct 1000 bytes in 1 object, indirect 600 bytes in 3 objects
#include "support.h"

static void build(void *unused) {
  (void)unused;
  void **head = (void **)malloc(1000), **middle = (void **)malloc(100);
  memset(head, 0, 1000);
  memset(middle, 0, 100);
  head[100] = middle;
  middle[3] = memset(malloc(200), 0, 200);
  middle[7] = memset(malloc(300), 0, 300);
  use(head);
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
