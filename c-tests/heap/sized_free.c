// free_sized and free_aligned_sized free, malloc_trim, mallinfo2, malloc_info, malloc_stats and mallopt answer, cfree frees.
// REFERENCE: has no mallinfo2
// EXPECT: clean
// STDERR: (?m)^system bytes += +[1-9][0-9]*$
// STDOUT: ^<malloc version="1">\n(<.*/>\n)+</malloc>\n$
#include "support.h"
#include <errno.h>
#include <malloc.h>

#ifndef __GLIBC__
/* musl's headers have nothing of this. */
#define M_MMAP_THRESHOLD (-3)
struct mallinfo2 {
  size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
};
struct mallinfo2 mallinfo2(void);
int malloc_trim(size_t);
int mallopt(int, int);
void malloc_stats(void);
int malloc_info(int, FILE *);
#endif

extern void free_sized(void *, size_t) __attribute__((weak));
extern void free_aligned_sized(void *, size_t, size_t) __attribute__((weak));
extern void cfree(void *) __attribute__((weak));

int main(void) {
  if (!free_sized || !free_aligned_sized) skip("no free_sized here");
  for (size_t size = 0; size < 100000; size = size * 3 + 1) {
    free_sized(use(malloc(size)), size);
    free_aligned_sized(use(aligned_alloc(64, size)), 64, size);
  }
  free_sized(NULL, 0);
  if (cfree) cfree(use(malloc(10)));
  void *volatile blocks[64];
  struct mallinfo2 before = mallinfo2();
  for (int i = 0; i < 64; i++) CHECK((blocks[i] = malloc(1 << 20)) != NULL);
  struct mallinfo2 in_use = mallinfo2();
  CHECK(in_use.uordblks + in_use.hblkhd >= before.uordblks + before.hblkhd + (60u << 20));
  for (int i = 0; i < 64; i++) free(blocks[i]);
  struct mallinfo2 after = mallinfo2();
  CHECK(after.uordblks + after.hblkhd < in_use.uordblks + in_use.hblkhd - (60u << 20));
  malloc_stats();
  CHECK(malloc_info(1, stdout) == EINVAL && malloc_info(0, stdout) == 0);
  malloc_trim(0);
  CHECK(mallopt(M_MMAP_THRESHOLD, 1 << 16) == 1);
  return 0;
}
