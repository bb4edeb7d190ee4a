// Freeing an address inside a block is reported with the stacks of the free and of the allocation, and ends the process.
// FLAGS: -Wno-free-nonheap-object -Wno-unknown-warning-option
// REFERENCE: does not look
// EXPECT: status 23
// STDERR: (?i)invalid.free[\s\S]*#2 0x[\s\S]*allocated by:[\s\S]*#1 0x
// LEVELS: -O0
#include "support.h"

NOINLINE void frees_it(void *block) { free(block); }

int main(void) {
  char *block = (char *)malloc(1000);
  frees_it(use(block + 48));
  free(block);
  return 0;
}
