// realloc(p, 0) frees p and returns NULL, as glibc's does; realloc(NULL, 0) is malloc(0); reallocarray likewise.
// FLAGS: -Wno-unknown-warning-option -Wno-free-nonheap-object
// EXPECT: clean
#include "support.h"
#include <errno.h>

static volatile size_t zero = 0;

int main(void) {
  for (int i = 0; i < 1000; i++) {
    void *volatile block = malloc(1000);
    CHECK(block != NULL);
    block = realloc(block, zero);
    CHECK(block == NULL);
  }
  void *volatile array = reallocarray(malloc(10), zero, 100);
  CHECK(array == NULL);
  void *volatile fresh = realloc(NULL, zero);
  CHECK(fresh != NULL);
  free(fresh);
  return 0;
}
