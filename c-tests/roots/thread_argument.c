// The argument of a thread that is just being born is reachable at every moment: many births, a check after each.
// FLAGS: -pthread
// TIMEOUT: 60
// EXPECT: clean
#include "support.h"
#include <pthread.h>

extern int __lsan_do_recoverable_leak_check(void);

static volatile int leave;

static void *body(void *argument) {
  char *volatile mine = (char *)argument;
  *mine = 1;
  while (!__atomic_load_n(&leave, __ATOMIC_ACQUIRE)) usleep(100);
  free(mine);
  return NULL;
}

static void start(void *thread) {
  CHECK(pthread_create((pthread_t *)thread, NULL, body, malloc(4242)) == 0);
}

int main(void) {
  pthread_t threads[30];
  for (int round = 0; round < 3; round++) {
    __atomic_store_n(&leave, 0, __ATOMIC_RELEASE);
    for (int i = 0; i < 30; i++) {
      clean_call(start, &threads[i]);
      if (__lsan_do_recoverable_leak_check()) return 1;
    }
    __atomic_store_n(&leave, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < 30; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  }
  return 0;
}
