// A thread caught in a handler on its alternate stack: that stack, its normal stack and the registers saved on it are roots.
// FLAGS: -pthread
// REFERENCE: scans neither stack of such a thread
// EXPECT: clean
#include "support.h"
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

static volatile int ready;

static void handler(int signal) {
  void *volatile root = unhide(hidden_malloc(4242));
  use((void *)&root);
  scrub();
  __atomic_store_n(&ready, 1, __ATOMIC_RELEASE);
  for (;;) pause();
  if (root) ready = signal;
}

static void *holder(void *unused) {
  void *volatile root = unhide(hidden_malloc(1212));
  stack_t stack;
  use((void *)&root);
  memset(&stack, 0, sizeof stack);
  stack.ss_size = 1 << 19;
  stack.ss_sp = mmap(NULL, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(stack.ss_sp != MAP_FAILED && sigaltstack(&stack, NULL) == 0);
  memset(&stack, 0, sizeof stack);
  raise(SIGUSR1);
  return root ? unused : NULL;
}

int main(void) {
  pthread_t thread;
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  action.sa_flags = SA_ONSTACK;
  CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
  CHECK(pthread_create(&thread, NULL, holder, NULL) == 0);
  await(&ready);
  return 0;
}
