// Calls before main: from constructors of linked libraries and of the program, each with memory that lives on.
// LIBRARY: lib_early.c
// EXPECT: clean
// EXPECT-WITH use_globals=0: some leak of 1212 bytes in 1 object
#include "support.h"

extern void *lib_early_block(void);
static void *volatile mine;

__attribute__((constructor(101))) static void first(void) {
  mine = malloc(1212);
  free(use(malloc(30)));
}

int main(void) {
  CHECK(mine != NULL && lib_early_block() != NULL);
  memset(lib_early_block(), 1, 4242);
  return 0;
}
