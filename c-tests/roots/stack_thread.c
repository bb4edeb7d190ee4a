// A heap object whose only pointer is on the stack of a thread that waits is reachable.
// FLAGS: -pthread
// EXPECT: clean
// EXPECT-WITH use_stacks=0:use_registers=0: leak 4242 bytes in 1 object
#include "support.h"
#include <pthread.h>

static volatile int ready;

static void *holder(void *unused) {
  void *volatile root = unhide(hidden_malloc(4242));
  use((void *)&root);
  scrub();
  __atomic_store_n(&ready, 1, __ATOMIC_RELEASE);
  for (;;) pause();
  return root ? unused : NULL;
}

int main(void) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, holder, NULL) == 0);
  await(&ready);
  return 0;
}
