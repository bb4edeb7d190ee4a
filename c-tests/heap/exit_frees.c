// What exit handlers and library destructors free is no leak, and what they lose is one: the check runs after them.
// EXPECT: leak 4242 bytes in 1 object
#include "support.h"

static uintptr_t freed_late;

static void handler(void) {
  free(unhide(freed_late));
  (void)hidden_malloc(4242);
}

int main(void) {
  freed_late = hidden_malloc(1212);
  atexit(handler);
  return 0;
}
