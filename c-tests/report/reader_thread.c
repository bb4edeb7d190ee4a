// A thread that waits in fgets(stdin) does not keep the program from ending, with leaks or without.
// FLAGS: -pthread
// TIMEOUT: 20
// NOT-IN: musl: musl's own exit waits for a thread that reads stdin
// EXPECT: clean
// STDIN: held
// STDOUT: ^out$
// EXPECT: leak 4242 bytes in 1 object
// ARGS: lose
// STDIN: held
#include "support.h"
#include <pthread.h>

static volatile int ready;

static void lose(void *unused) {
  (void)unused;
  use(malloc(4242));
}

static void *reader(void *unused) {
  char line[100];
  __atomic_store_n(&ready, 1, __ATOMIC_RELEASE);
  CHECK(fgets(line, sizeof line, stdin) == NULL);
  return unused;
}

int main(int count, char **arguments) {
  pthread_t thread;
  (void)arguments;
  CHECK(pthread_create(&thread, NULL, reader, NULL) == 0);
  await(&ready);
  usleep(20000);
  printf("out");
  if (count > 1) clean_call(lose, NULL);
  return 0;
}
