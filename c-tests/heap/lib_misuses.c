// A library that frees a block twice. Part of misuse_under_loader_lock.
#include "support.h"

NOINLINE void lib_misuses_twice(void) {
  void *volatile block = malloc(100);
  free(block);
  free(block);
  __asm__ volatile("");
}
