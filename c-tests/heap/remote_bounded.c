// A producer that only allocates and a consumer that only frees run in bounded memory.
// FLAGS: -pthread
// TIMEOUT: 60
// EXPECT: clean
#include "support.h"
#include <pthread.h>
#include <sched.h>

enum { RING = 1024, TOTAL = 2000000 };
static void *volatile ring[RING];
static volatile unsigned head, tail;

static void *consumer(void *unused) {
  for (unsigned i = 0; i < TOTAL; i++) {
    while (__atomic_load_n(&head, __ATOMIC_ACQUIRE) == i) sched_yield();
    void *block = ring[i % RING];
    ring[i % RING] = NULL;
    free(block);
    __atomic_store_n(&tail, i + 1, __ATOMIC_RELEASE);
  }
  return unused;
}

int main(void) {
  pthread_t thread;
  long pages = 0, ignored;
  CHECK(pthread_create(&thread, NULL, consumer, NULL) == 0);
  for (unsigned i = 0; i < TOTAL; i++) {
    while (i - __atomic_load_n(&tail, __ATOMIC_ACQUIRE) == RING) sched_yield();
    ring[i % RING] = malloc(256);
    __atomic_store_n(&head, i + 1, __ATOMIC_RELEASE);
  }
  CHECK(pthread_join(thread, NULL) == 0);
  FILE *file = fopen("/proc/self/statm", "r"); /* 2,000,000 * 256 bytes went through: 500 MiB */
  CHECK(file != NULL && fscanf(file, "%ld %ld", &ignored, &pages) == 2);
  fclose(file);
  CHECK(pages * 4 < 100 << 10);
  return 0;
}
