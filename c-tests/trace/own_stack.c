// Stacks of the main thread and of others are known: what is above a frame is not asked of the kernel at each allocation.
// FLAGS: -pthread
// EXPECT: clean
// STDERR: [2-9][0-9]{4} allocations, .* [0-9]{1,2} on other stacks
#include "support.h"
#include <pthread.h>

static void *body(void *unused) {
  for (int i = 0; i < 10000; i++) free(use(malloc(16)));
  return unused;
}

int main(void) {
  pthread_t thread;
  body(NULL);
  CHECK(pthread_create(&thread, NULL, body, NULL) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  return 0;
}
