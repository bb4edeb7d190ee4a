// Freeing what is no block (inside one, on the stack, in .data, nowhere) is reported with a stack and ends the process.
// FLAGS: -Wno-free-nonheap-object -Wno-unknown-warning-option
// REFERENCE: does not look
// EXPECT: status 23
// ARGS: inside
// STDERR: (?i)invalid.free[\s\S]*#2 0x
// EXPECT: status 23
// ARGS: stack
// STDERR: (?i)invalid.free[\s\S]*#2 0x
// EXPECT: status 23
// ARGS: data
// STDERR: (?i)invalid.free[\s\S]*#2 0x
// EXPECT: status 23
// ARGS: nowhere
// STDERR: (?i)invalid.free[\s\S]*#2 0x
// LEVELS: -O0
#include "support.h"

static char data[100];

NOINLINE void frees_it(void *block) { free(block); }

int main(int count, char **arguments) {
  char on_stack[64];
  CHECK(count == 2);
  char *inside = (char *)malloc(1000);
  switch (arguments[1][0]) {
    case 'i': frees_it(use(inside + 48)); break;
    case 's': frees_it(use(on_stack)); break;
    case 'd': frees_it(use(data + 16)); break;
    default: frees_it(use((void *)(uintptr_t)0x1230)); break;
  }
  free(inside);
  return 0;
}
