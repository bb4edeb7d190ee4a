// memalign, aligned_alloc, posix_memalign, valloc and pvalloc align as asked, at every power of two, and refuse what they must.
// REFERENCE: refuses sizes that are no multiple of the alignment
// EXPECT: clean
// FLAGS: -Wno-unknown-warning-option -Wno-non-power-of-two-alignment -Wno-attribute-alias
#include "support.h"
#include <errno.h>
#include <malloc.h>

extern void *pvalloc(size_t);

static volatile size_t three = 3, two = 2, four = 4, none = 0, odd = 24;

int main(void) {
  for (size_t align = 8; align <= (1u << 22); align *= 2)
    for (size_t size = 1; size <= 70000; size = size * 5 + 3) {
      void *a = memalign(align, size), *b = aligned_alloc(align, size), *c = NULL;
      CHECK(posix_memalign(&c, align, size) == 0);
      CHECK(a != NULL && b != NULL && c != NULL);
      CHECK((uintptr_t)a % align == 0 && (uintptr_t)b % align == 0 && (uintptr_t)c % align == 0);
      CHECK(malloc_usable_size(a) >= size);
      memset(a, 1, size);
      memset(b, 2, size);
      memset(c, 3, size);
      CHECK(((char *)a)[size - 1] == 1);
      c = realloc(c, size * 2);
      CHECK(c != NULL && ((char *)c)[size - 1] == 3);
      free(a);
      free(b);
      free(c);
    }
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  char *v = (char *)valloc(100), *p = (char *)pvalloc(100), *q = (char *)pvalloc(page + 1);
  CHECK((uintptr_t)v % page == 0 && (uintptr_t)p % page == 0 && (uintptr_t)q % page == 0);
  memset(p, 5, page);
  memset(q, 5, 2 * page);
  CHECK(malloc_usable_size(p) >= page && malloc_usable_size(q) >= 2 * page);
  free(v);
  free(p);
  free(q);
  void *kept = &kept;
  CHECK(posix_memalign(&kept, three, 10) == EINVAL && posix_memalign(&kept, two, 10) == EINVAL);
  CHECK(posix_memalign(&kept, four, 10) == EINVAL && posix_memalign(&kept, none, 10) == EINVAL);
  CHECK(posix_memalign(&kept, odd, 10) == EINVAL && kept == &kept);
  CHECK(posix_memalign(&kept, 64, 0) == 0);
  free(kept);
  return 0;
}
