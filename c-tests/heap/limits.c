// Sizes that cannot be had fail with NULL and ENOMEM, overflowing products too; the old block of a failed realloc stays.
// REFERENCE: dies instead of returning NULL, unless told otherwise
// EXPECT: clean
// FLAGS: -Wno-alloc-size-larger-than -Wno-unknown-warning-option
#include "support.h"
#include <errno.h>
#include <malloc.h>

extern void *pvalloc(size_t);

static volatile size_t huge = PTRDIFF_MAX, most = SIZE_MAX, half = SIZE_MAX / 2 + 2;

#define FAILS(call)          \
  do {                       \
    errno = 0;               \
    CHECK(use(call) == NULL); \
    CHECK(errno == ENOMEM);  \
  } while (0)

int main(void) {
  FAILS(malloc(most));
  FAILS(malloc(huge));
  FAILS(malloc(most - 15));
  FAILS(malloc(most - 4096));
  FAILS(calloc(half, 2));
  FAILS(calloc(2, half));
  FAILS(calloc(most, most));
  FAILS(calloc(1, huge));
  FAILS(reallocarray(NULL, half, 2));
  FAILS(memalign(64, most - 100));
  FAILS(aligned_alloc(4096, most - 4095));
  FAILS(valloc(most - 10));
  FAILS(pvalloc(most - 10));
  char *block = (char *)malloc(100);
  memset(block, 'x', 100);
  errno = 0;
  char *moved = (char *)use(realloc(use(block), huge));
  CHECK(moved == NULL && errno == ENOMEM);
  errno = 0;
  moved = (char *)use(reallocarray(use(block), half, 4));
  CHECK(moved == NULL && errno == ENOMEM);
  for (int i = 0; i < 100; i++) CHECK(block[i] == 'x');
  void *aligned = block;
  CHECK(posix_memalign(&aligned, 64, most - 200) == ENOMEM);
  CHECK(aligned == block);
  free(block);
  return 0;
}
