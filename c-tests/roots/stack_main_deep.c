// A heap object whose only pointer is in a frame of main's stack above the one that calls exit() is reachable.
// EXPECT: clean
// EXPECT-WITH use_stacks=0: leak 4242 bytes in 1 object
#include "support.h"

static NOINLINE void deeper(int level) {
  volatile char frame[512];
  frame[0] = (char)level;
  if (level == 0) exit(frame[0]);
  if (level > 0) deeper(level - 1);
  frame[1] = frame[0];
}

int main(void) {
  void *volatile root = unhide(hidden_malloc(4242));
  use((void *)&root);
  deeper(100);
  return root == NULL;
}
