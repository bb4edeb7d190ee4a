// Call stacks of a misuse begin with the function that the program called, and go on with its caller: no frame of ours between.
// REFERENCE: does not look
// EXPECT-WITH misuse=warn:free_stacks=1: status 0
// ARGS: free
// STDERR: double-free of 0x\w+\n    #0 0x\w+ in free [^\n]*\n    #1 0x\w+ in second\w*[( ]
// STDERR: freed before by:\n    #0 0x\w+ in free [^\n]*\n    #1 0x\w+ in first\w*[( ]
// EXPECT-WITH misuse=warn:free_stacks=1: status 0
// ARGS: delete
// STDERR: double-free of 0x\w+\n    #0 0x\w+ in operator delete\(void\*\) [^\n]*\n    #1 0x\w+ in second\w*[( ]
// STDERR: freed before by:\n    #0 0x\w+ in operator delete\(void\*\) [^\n]*\n    #1 0x\w+ in first\w*[( ]
// EXPECT-WITH misuse=warn:free_stacks=1: status 0
// ARGS: realloc
// STDERR: double-free of 0x\w+\n    #0 0x\w+ in realloc [^\n]*\n    #1 0x\w+ in second\w*[( ]
// STDERR: freed before by:\n    #0 0x\w+ in realloc [^\n]*\n    #1 0x\w+ in first\w*[( ]
// EXPECT-WITH mismatch=warn: status 0
// ARGS: mismatch
// STDERR: mismatched free of [^\n]*\n    #0 0x\w+ in realloc [^\n]*\n    #1 0x\w+ in second\w*[( ]
// LEVELS: -O0
#include "support.h"

static void *volatile block;

NOINLINE void first_free(void) { free(block); }
NOINLINE void second_free(void) { free(block); }
NOINLINE void first_delete(void) { operator delete(block); }
NOINLINE void second_delete(void) { operator delete(block); }
/* A size of nothing frees. */
NOINLINE void first_realloc(void) { CHECK(realloc(block, 0) == NULL); }
NOINLINE void second_realloc(void) { CHECK(realloc(block, 5000) == NULL); }
NOINLINE void second_realloc_of_new(void) { block = realloc(block, 5000); }

int main(int count, char **arguments) {
  CHECK(count == 2);
  block = strcmp(arguments[1], "free") && strcmp(arguments[1], "realloc") ? operator new(100) : malloc(100);
  if (!strcmp(arguments[1], "free")) {
    first_free();
    second_free();
  } else if (!strcmp(arguments[1], "delete")) {
    first_delete();
    second_delete();
  } else if (!strcmp(arguments[1], "realloc")) {
    first_realloc();
    second_realloc();
  } else {
    second_realloc_of_new();
    operator delete(block);
  }
  return 0;
}
