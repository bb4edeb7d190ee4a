// Freeing a block twice is reported with the stack of the second free and of the allocation, and ends the process.
// REFERENCE: does not look
// EXPECT: status 23
// ARGS: 100
// STDERR: double-free of 0x[\s\S]*#2 0x[\s\S]*allocated by:[\s\S]*#2 0x
// EXPECT: status 23
// ARGS: 10000000
// STDERR: (double|invalid).free[\s\S]*#2 0x
// LEVELS: -O0
#include "support.h"

NOINLINE void *allocates_it(size_t size) { return use(malloc(size)); }
NOINLINE void second_free(void *block) { free(block); }

int main(int count, char **arguments) {
  CHECK(count == 2);
  void *volatile block = allocates_it(strtoul(arguments[1], NULL, 10));
  free(block);
  second_free(block);
  return 0;
}
