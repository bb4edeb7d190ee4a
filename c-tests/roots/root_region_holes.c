// A root region of which a part is PROT_NONE and a part was unmapped is searched where it can be read.
// EXPECT: clean
#include "support.h"
#include <sys/mman.h>

extern void __lsan_register_root_region(const void *, size_t);

static uintptr_t place;

static void build(void *unused) {
  (void)unused;
  char *pages = (char *)mmap(NULL, 5 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(pages != MAP_FAILED);
  *(void **)pages = malloc(4242);
  *(void **)(pages + 4 * PAGE) = malloc(1212);
  CHECK(mprotect(pages + PAGE, PAGE, PROT_NONE) == 0);
  CHECK(munmap(pages + 2 * PAGE, PAGE) == 0);
  place = hide(pages);
  __lsan_register_root_region(pages, 5 * PAGE);
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
