// A guard that the program has put into a block (MADV_GUARD_INSTALL), which the memory map does not show, holds nothing: the
// check is complete.
// EXPECT: clean
// STDERR-NOT: could not be read
#include "support.h"
#include <sys/mman.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

static void **volatile block;

int main(void) {
  void *memory;
  CHECK(posix_memalign(&memory, PAGE, 4 * PAGE) == 0);
  memset(memory, 1, 4 * PAGE);
  block = memory;
  block[0] = malloc(100);
  if (madvise((char *)memory + PAGE, PAGE, MADV_GUARD_INSTALL)) skip("no guards of this kind (Linux 6.13)");
  return 0;
}
