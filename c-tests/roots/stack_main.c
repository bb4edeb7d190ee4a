// A heap object whose only pointer is on the stack of main, in the frame that calls exit(), is reachable.
// EXPECT: clean
// EXPECT-WITH use_stacks=0: leak 4242 bytes in 1 object
#include "support.h"

int main(void) {
  void *volatile root[2] = {NULL, NULL};
  uintptr_t hidden = hidden_malloc(4242);
  root[1] = unhide(hidden);
  hidden = 0;
  use((void *)root);
  scrub();
  exit(root[0] != NULL);
}
