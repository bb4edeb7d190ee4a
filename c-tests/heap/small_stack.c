// A thread with the smallest stack that the system allows can allocate, free and be checked.
// FLAGS: -pthread
// NOT-IN: musl: musl allows stacks of 2 KiB, less than a call stack takes to be found
// EXPECT: clean
#include "support.h"
#include <limits.h>
#include <pthread.h>

static void *body(void *unused) {
  for (size_t i = 1; i < 200000; i = i * 2 + 1) free(use(realloc(malloc(i), i * 2)));
  return unused;
}

int main(void) {
  pthread_t thread;
  pthread_attr_t attributes;
  CHECK(pthread_attr_init(&attributes) == 0);
  CHECK(pthread_attr_setstacksize(&attributes, (size_t)PTHREAD_STACK_MIN) == 0);
  CHECK(pthread_create(&thread, &attributes, body, NULL) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK(pthread_attr_destroy(&attributes) == 0);
  return 0;
}
