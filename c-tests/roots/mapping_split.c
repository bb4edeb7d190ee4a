// A pool that mprotect has split is followed as one: a pointer to its beginning holds what lies behind the split.
// REFERENCE: it knows nothing of mappings
// EXPECT: clean
#include "support.h"
#include <sys/mman.h>

enum { MEGABYTE = 1 << 20 };

static char *volatile pool;

static void build(void *unused) {
  (void)unused;
  char *memory = (char *)mmap(NULL, 3 * MEGABYTE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK((void *)memory != MAP_FAILED);
  *(void **)(memory + 2 * MEGABYTE) = malloc(4242);
  CHECK(mprotect(memory + MEGABYTE, PAGE, PROT_NONE) == 0);
  pool = memory;
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
