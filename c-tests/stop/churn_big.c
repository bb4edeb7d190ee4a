// Ten threads that allocate and free blocks of a megabyte while a hundred checks run: blocks of their own mappings come and go.
// FLAGS: -pthread
// TIMEOUT: 60
// EXPECT: clean
#include "support.h"
#include <pthread.h>

extern int __lsan_do_recoverable_leak_check(void);
static volatile int stop;

static void *body(void *unused) {
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
    char *block = (char *)malloc(1 << 20);
    block[0] = block[(1 << 20) - 1] = 1;
    block = (char *)realloc(block, 3 << 20);
    CHECK(block != NULL && block[(1 << 20) - 1] == 1);
    free(block);
  }
  return unused;
}

int main(void) {
  pthread_t threads[10];
  for (int i = 0; i < 10; i++) CHECK(pthread_create(&threads[i], NULL, body, NULL) == 0);
  for (int i = 0; i < repeats(100); i++)
    if (__lsan_do_recoverable_leak_check()) return 1;
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  for (int i = 0; i < 10; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  return 0;
}
