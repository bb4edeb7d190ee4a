// A library that allocates in its constructor. Part of early_calls.
#include "support.h"

static void *block;

__attribute__((constructor)) static void make(void) {
  block = calloc(1, 4242);
  free(use(malloc(100)));
  block = realloc(block, 4300);
}

void *lib_early_block(void) { return block; }
