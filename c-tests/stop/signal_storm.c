// Signals that arrive all the time, in every thread, are neither lost nor doubled by checks: as many handled as sent, with their values.
// FLAGS: -pthread
// TIMEOUT: 60
// EXPECT: clean
#include "support.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

extern int __lsan_do_recoverable_leak_check(void);

enum { RECEIVERS = 4 };
static volatile int stop, stop_sending, tids[RECEIVERS];
static long sent;
static volatile long handled;
static uint64_t sum_sent, sum_handled;

static void on_real_time(int number, siginfo_t *info, void *context) {
  (void)number, (void)context;
  __atomic_fetch_add(&handled, 1, __ATOMIC_RELAXED);
  __atomic_fetch_add(&sum_handled, (uint64_t)(uintptr_t)info->si_value.sival_ptr, __ATOMIC_RELAXED);
}
static void on_profile(int number) { (void)number; }

static void *receiver(void *tid) {
  __atomic_store_n((volatile int *)tid, own_tid(), __ATOMIC_RELEASE);
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) free(use(malloc(100)));
  return NULL;
}

static void *sender(void *unused) {
  uintptr_t value = 1;
  while (!__atomic_load_n(&stop_sending, __ATOMIC_RELAXED)) {
    if (queue_signal(tids[value % RECEIVERS], SIGRTMIN + 3, value) == 0) {
      sent++;
      sum_sent += value;
    }
    if (value++ % 16 == 0) usleep(100);
  }
  return unused;
}

int main(void) {
  struct sigaction action;
  struct itimerval every = {{0, 1000}, {0, 1000}}, never;
  pthread_t threads[RECEIVERS], from;
  memset(&never, 0, sizeof never);
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_real_time;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  CHECK(sigaction(SIGRTMIN + 3, &action, NULL) == 0);
  signal(SIGPROF, on_profile);
  CHECK(setitimer(ITIMER_PROF, &every, NULL) == 0);
  for (int i = 0; i < RECEIVERS; i++) {
    CHECK(pthread_create(&threads[i], NULL, receiver, (void *)&tids[i]) == 0);
    await(&tids[i]);
  }
  CHECK(pthread_create(&from, NULL, sender, NULL) == 0);
  for (int i = 0; i < repeats(150); i++)
    if (__lsan_do_recoverable_leak_check()) return 1;
  __atomic_store_n(&stop_sending, 1, __ATOMIC_RELAXED);
  CHECK(pthread_join(from, NULL) == 0);
  for (uint64_t end = now_ns() + UINT64_C(5000000000) * (uint64_t)slowness(); handled < sent && now_ns() < end;) usleep(1000);
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  for (int i = 0; i < RECEIVERS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  CHECK(setitimer(ITIMER_PROF, &never, NULL) == 0);
  fprintf(stderr, "%ld sent, %ld handled\n", sent, handled);
  CHECK(sent > 100 && handled == sent && sum_handled == sum_sent);
  return 0;
}
