// Memory that was freed goes back to the system: the resident set falls, of large blocks at once, of small ones after malloc_trim.
// REFERENCE: gives small blocks back much later
// EXPECT: clean
#include "support.h"
#include <malloc.h>

extern int malloc_trim(size_t);

static long resident_kib(void) {
  long pages = 0, ignored;
  FILE *file = fopen("/proc/self/statm", "r");
  CHECK(file != NULL && fscanf(file, "%ld %ld", &ignored, &pages) == 2);
  fclose(file);
  return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

int main(void) {
  enum { COUNT = 400000 };
  long start = resident_kib();
  char *volatile big = (char *)malloc(64 << 20);
  use(memset(big, 1, 64 << 20));
  CHECK(resident_kib() - start > 60 << 10);
  free(big);
  CHECK(resident_kib() - start < 10 << 10);
  void **small = (void **)calloc(COUNT, sizeof(void *));
  for (int i = 0; i < COUNT; i++) CHECK((small[i] = memset(malloc(150), 1, 150)) != NULL);
  CHECK(resident_kib() - start > 50 << 10);
  for (int i = 0; i < COUNT; i++) free(small[i]);
  free(small);
  malloc_trim(0);
  CHECK(resident_kib() - start < 25 << 10);
  return 0;
}
