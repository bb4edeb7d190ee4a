// A dump of threads names each thread, the call in which it waits and its functions, on call and on a signal, and the program goes on.
// EXPECT-WITH symbolize=0: clean
// ARGS: call
// STDERR: Standstill: 4 threads
// STDERR: "waiter" in futex
// STDERR: "sleeper" in (clock_)?nanosleep
// STDERR: "spinner" running
// STDERR: asked for this
// STDERR: #\d+ 0x[0-9a-f]+  \(.*dump_threads.*\+0x
// EXPECT-WITH symbolize=0:dump_signal=10: clean
// ARGS: signal
// STDERR: Standstill: 4 threads
// STDERR: "waiter" in futex, [^\n]*blocks signal 12
// STDERR: "spinner" running
// EXPECT-WITH dump_signal=33: clean
// ARGS: call
// STDERR: dump_signal: 33 is no signal that a program can have
// REFERENCE: cannot
#include "support.h"
#include "standstill.h"
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

static sem_t ready, never;
static volatile int spinning = 1;

static void *waits(void *unused) {
  (void)unused;
  prctl(PR_SET_NAME, "waiter");
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &set, 0);
  sem_post(&ready);
  while (sem_wait(&never)) {}
  return 0;
}

static void *sleeps(void *unused) {
  (void)unused;
  prctl(PR_SET_NAME, "sleeper");
  sem_post(&ready);
  struct timespec time = {1000, 0};
  nanosleep(&time, 0);
  return 0;
}

static void *spins(void *unused) {
  (void)unused;
  prctl(PR_SET_NAME, "spinner");
  sem_post(&ready);
  while (spinning) {}
  return 0;
}

int main(int argc, char **argv) {
  sem_init(&ready, 0, 0);
  sem_init(&never, 0, 0);
  void *(*const bodies[])(void *) = {waits, sleeps, spins};
  for (int i = 0; i < 3; i++) {
    pthread_t thread;
    CHECK(pthread_create(&thread, 0, bodies[i], 0) == 0);
    while (sem_wait(&ready)) {}
  }
  struct timespec moment = {0, 100000000};
  while (nanosleep(&moment, &moment) && errno == EINTR) {}
  errno = 4711;
  if (argc > 1 && !strcmp(argv[1], "call")) CHECK(standstill_dump_threads(-1) == STANDSTILL_DONE);
  else raise(SIGUSR1);
  CHECK(errno == 4711);
  spinning = 0;
  return 0;
}
