// The thread of main has ended (pthread_exit) while others live on: a check by one of them sees everything.
// REFERENCE: reads an empty list of mappings there
// FLAGS: -pthread
// EXPECT: clean
// EXPECT: leak 4242 bytes in 1 object
// ARGS: lose
#include "support.h"
#include <pthread.h>

extern int __lsan_do_recoverable_leak_check(void);

static void *volatile root;
static __thread void *volatile in_tls;
static int lose;

static void build(void *unused) {
  (void)unused;
  root = malloc(1212);
  in_tls = malloc(2323);
  if (lose) use(malloc(4242));
}

static void *body(void *leader) {
  clean_call(build, NULL);
  pthread_join(*(pthread_t *)leader, NULL);
  usleep(20000);
  CHECK(__lsan_do_recoverable_leak_check() == lose);
  exit(0);
}

static void *waiter(void *unused) {
  for (;;) pause();
  return unused;
}

int main(int count, char **arguments) {
  static pthread_t leader;
  pthread_t thread;
  (void)arguments;
  lose = count > 1;
  leader = pthread_self();
  CHECK(pthread_create(&thread, NULL, waiter, NULL) == 0);
  CHECK(pthread_create(&thread, NULL, body, &leader) == 0);
  pthread_exit(NULL);
}
