// A heap object whose only pointer is on a stack that the program gave to pthread_create (malloc'ed) is reachable.
// FLAGS: -pthread
// EXPECT: clean
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

static void build(void *unused) {
  (void)unused;
  pthread_t thread;
  pthread_attr_t attributes;
  void *stack = NULL;
  CHECK(posix_memalign(&stack, 4096, 1 << 20) == 0);
  CHECK(pthread_attr_init(&attributes) == 0);
  CHECK(pthread_attr_setstack(&attributes, stack, 1 << 20) == 0);
  CHECK(pthread_create(&thread, &attributes, holder, NULL) == 0);
  await(&ready);
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
