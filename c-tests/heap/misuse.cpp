// What follows a misuse of the heap is the user's choice: a report with functions and lines, then the program goes on,
// ends, or is aborted; or nothing. The heap is whole afterwards.
// REFERENCE: does not look
// EXPECT-WITH misuse=warn:free_stacks=1: status 0
// ARGS: double
// STDERR: double-free of 0x[\s\S]*second_free[\s\S]*freed before by:[\s\S]*first_free[\s\S]*allocated by:[\s\S]*allocates_it
// EXPECT-WITH misuse=ignore: status 0
// ARGS: double
// STDERR-NOT: double-free
// EXPECT-WITH misuse=abort: status 6
// ARGS: double
// STDERR: double-free of 0x
// EXPECT-WITH mismatch=warn: status 0
// ARGS: mismatch
// STDERR: mismatched free of 0x[0-9a-f]+, which was allocated by operator new\[\] and is freed by free[\s\S]*allocated by
// EXPECT-WITH mismatch=exit: status 23
// ARGS: realloc
// STDERR: mismatched free of 0x[0-9a-f]+, which was allocated by operator new and is freed by free
// EXPECT: status 0
// ARGS: realloc
// STDERR-NOT: mismatch
// EXPECT-WITH foreign=warn: status 0
// ARGS: foreign
// STDERR: free of a foreign address of 0x[0-9a-f]+, which no allocation returned
// LEVELS: -O0
#include "support.h"

#include <signal.h>

NOINLINE void *allocates_it(void) { return use(malloc(100)); }
NOINLINE void first_free(void *block) { free(block); }
NOINLINE void second_free(void *block) { free(block); }

static void on_abort(int signal) { _exit(signal); }

int main(int count, char **arguments) {
  CHECK(count == 2);
  signal(SIGABRT, on_abort);
  if (!strcmp(arguments[1], "double")) {
    void *volatile block = allocates_it();
    first_free(block);
    second_free(block);
    // It was put in no list twice.
    void *volatile one = malloc(100), *volatile two = malloc(100);
    CHECK(one != two);
    free(one);
    free(two);
  } else if (!strcmp(arguments[1], "mismatch")) {
    char *volatile block = new char[77];
    free(block);
  } else if (!strcmp(arguments[1], "realloc")) {
    char *block = (char *)use(operator new(50));
    strcpy(block, "kept");
    block = (char *)use(realloc(block, 5000));
    CHECK(block && !strcmp(block, "kept"));
    operator delete(block);
  } else {
    static char no_block[64];
    free(use(no_block + 16));
  }
  return 0;
}
