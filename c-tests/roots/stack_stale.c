// A pointer left in a dead frame below the one that calls exit() does not hide a leak.
// REFERENCE: what exit() and its handlers have on the stack when the check runs are roots there, with what they cover
// NOT-IN: musl: musl has no unwind information, so what its exit leaves on the stack counts
// EXPECT: leak 4242 bytes in 1 object
#include "support.h"

static NOINLINE void leave_traces(void) {
  uintptr_t object = hidden_malloc(4242);
  void *volatile dead[512];
  for (int i = 0; i < 512; i++) dead[i] = unhide(object);
  use((void *)dead);
}

int main(void) {
  leave_traces();
  exit(0);
}
