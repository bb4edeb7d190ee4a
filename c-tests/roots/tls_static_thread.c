// A heap object whose only pointer is in a thread-local variable of the program (static TLS) is reachable: a thread's.
// FLAGS: -pthread
// EXPECT: clean
// EXPECT-WITH use_tls=0: some leak of 4242 bytes in 1 object
#include "support.h"
#include <pthread.h>

static __thread void *volatile root;
static volatile int ready;

static void build(void *unused) {
  (void)unused;
  root = malloc(4242);
}

static void *holder(void *unused) {
  clean_call(build, NULL);
  __atomic_store_n(&ready, 1, __ATOMIC_RELEASE);
  for (;;) pause();
  return unused;
}

int main(void) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, holder, NULL) == 0);
  await(&ready);
  return 0;
}
