// The stack for signals of another thread, whose address only the kernel has, is reachable as long as it is set.
// FLAGS: -pthread
// REFERENCE: does not know stacks for signals
// EXPECT: clean
// EXPECT-WITH verbosity=0: leak 16384 bytes in 1 object
// ARGS: off
#include "support.h"
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <unistd.h>

static sem_t ready;
static int off;

static void set(void *unused) {
  (void)unused;
  stack_t stack = {.ss_sp = malloc(16384), .ss_size = 16384};
  CHECK(sigaltstack(&stack, NULL) == 0);
  if (off) {
    stack.ss_flags = SS_DISABLE;
    CHECK(sigaltstack(&stack, NULL) == 0);
  }
  stack.ss_sp = NULL;
  use(&stack);
}

static void *thread(void *unused) {
  clean_call(set, NULL);
  sem_post(&ready);
  for (;;) pause();
  return unused;
}

int main(int argc, char **argv) {
  (void)argv;
  off = argc > 1;
  pthread_t id;
  CHECK(sem_init(&ready, 0, 0) == 0);
  CHECK(pthread_create(&id, NULL, thread, NULL) == 0);
  while (sem_wait(&ready) != 0) {}
  return 0;
}
