// malloc(0) and calloc of nothing are objects of their own; lost, they count as a byte each, as in LeakSanitizer.
// EXPECT: leak 3 bytes in 3 objects
#include "support.h"

static void build(void *unused) {
  (void)unused;
  void *volatile a = malloc(0), *volatile b = malloc(0), *volatile c = calloc(0, 8);
  CHECK(a != NULL && b != NULL && c != NULL && a != b && b != c);
  a = b = c = NULL;
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
