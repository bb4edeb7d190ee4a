// Eight threads ask for checks at the same time, again and again: they wait for each other, and each gets an answer.
// FLAGS: -pthread
// TIMEOUT: 60
// EXPECT: clean
#include "support.h"
#include <pthread.h>

extern int __lsan_do_recoverable_leak_check(void);

static void *body(void *unused) {
  void *volatile mine = malloc(4242);
  for (int i = 0; i < repeats(25); i++) CHECK(__lsan_do_recoverable_leak_check() == 0);
  free(mine);
  return unused;
}

int main(void) {
  pthread_t threads[8];
  for (int i = 0; i < 8; i++) CHECK(pthread_create(&threads[i], NULL, body, NULL) == 0);
  for (int i = 0; i < 8; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  return 0;
}
