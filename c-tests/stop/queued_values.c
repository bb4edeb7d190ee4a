// The value of a signal that waits is never lost for a pointer: by ptrace it is read; where it cannot be, nothing is called leaked.
// REFERENCE: does not know of signals
// FLAGS: -pthread
// EXPECT: clean
// ARGS: other thread
// EXPECT: clean
// ARGS: process thread
// EXPECT: status 0
// ARGS: self thread
// STDERR: Standstill: incomplete
// STDERR: signals wait
// STDERR-NOT: detected memory leaks
// EXPECT: status 0
// ARGS: self alone
// STDERR: signals wait
// STDERR-NOT: detected memory leaks
// EXPECT-WITH ptrace=0: status 0
// ARGS: other thread
// STDERR: signals wait
// STDERR-NOT: detected memory leaks
// EXPECT-WITH ptrace=0: status 0
// ARGS: process thread
// STDERR: signals wait
// STDERR-NOT: detected memory leaks
// EXPECT: leak 777 bytes in 1 object
// ARGS: none thread
// EXPECT-WITH ptrace=0: leak 777 bytes in 1 object
// ARGS: none thread
#include "support.h"
#include <pthread.h>
#include <signal.h>

static volatile int other;
static const char *to;

static void *body(void *unused) {
  __atomic_store_n(&other, own_tid(), __ATOMIC_RELEASE);
  for (;;) pause();
  return unused;
}

static void send(void *unused) {
  (void)unused;
  union sigval value;
  value.sival_ptr = malloc(777);
  if (strcmp(to, "process") == 0) CHECK(sigqueue(getpid(), SIGRTMIN + 3, value) == 0);
  int tid = strcmp(to, "other") == 0 ? other : strcmp(to, "self") == 0 ? own_tid() : 0;
  if (tid != 0) CHECK(queue_signal(tid, SIGRTMIN + 3, (uintptr_t)value.sival_ptr) == 0);
}

int main(int argc, char **argv) {
  CHECK(argc == 3);
  to = argv[1];
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN + 3);
  CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
  pthread_t thread;
  if (strcmp(argv[2], "thread") == 0) {
    CHECK(pthread_create(&thread, NULL, body, NULL) == 0);
    await(&other);
  }
  clean_call(send, NULL);
  return 0;
}
