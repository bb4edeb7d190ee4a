// A heap object whose only pointer is in an anonymous mapping that a global variable points to is reachable.
// REFERENCE: it knows nothing of mappings
// EXPECT: clean
// EXPECT-WITH use_mappings=0: leak 4242 bytes in 1 object
#include "support.h"
#include <sys/mman.h>

static void *volatile root;

static void build(void *unused) {
  (void)unused;
  void **words = (void **)mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(words != MAP_FAILED);
  words[3000] = malloc(4242);
  root = words + 5;
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
