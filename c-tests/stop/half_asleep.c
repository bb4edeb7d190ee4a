// Threads that sleep, and wake a thousand times a second to move the only pointer to their object: checks that look
// without a stop notice it, whenever they wake.
// FLAGS: -pthread
// TIMEOUT: 120
// EXPECT: clean
#include "support.h"
#include <pthread.h>

extern int __lsan_do_recoverable_leak_check(void);

enum { THREADS = 80, WAKING = 4, CHECKS = 400 };

static volatile int ready, end;
static uintptr_t *volatile places[WAKING][2];

static void *sleeping(void *unused) {
  __atomic_fetch_add(&ready, 1, __ATOMIC_RELEASE);
  while (!end) usleep(100000);
  return unused;
}

static void *waking(void *number) {
  uintptr_t *volatile *place = places[(uintptr_t)number];
  __atomic_fetch_add(&ready, 1, __ATOMIC_RELEASE);
  for (int turn = 0; !end; turn ^= 1) {
    /* From one place to the other, and for an instant in neither: a register has it, which only a stop sees. */
    uintptr_t *only = place[turn];
    place[turn] = NULL;
    use(only);
    place[turn ^ 1] = only;
    only = NULL;
    use(only);
    usleep(1000);
  }
  return NULL;
}

int main(void) {
  pthread_t threads[THREADS + WAKING];
  for (int i = 0; i < WAKING; i++) places[i][0] = use(malloc(100 + i));
  for (int i = 0; i < THREADS + WAKING; i++)
    CHECK(pthread_create(&threads[i], NULL, i < WAKING ? waking : sleeping, (void *)(uintptr_t)i) == 0);
  while (__atomic_load_n(&ready, __ATOMIC_ACQUIRE) < THREADS + WAKING) usleep(1000);
  for (int i = 0; i < repeats(CHECKS); i++) {
    CHECK(__lsan_do_recoverable_leak_check() == 0);
    usleep(100);
  }
  end = 1;
  for (int i = 0; i < THREADS + WAKING; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  return 0;
}
