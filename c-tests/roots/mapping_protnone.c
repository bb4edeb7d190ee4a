// A heap object whose only pointer is in a mapping that was made PROT_NONE after it was written is reachable.
// REFERENCE: it knows nothing of mappings
// EXPECT: clean
#include "support.h"
#include <sys/mman.h>

static void *volatile root;

static void build(void *unused) {
  (void)unused;
  void **words = (void **)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(words != MAP_FAILED);
  words[30] = malloc(4242);
  root = words;
  CHECK(mprotect(words, PAGE, PROT_NONE) == 0);
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
