// Threads that sleep in calls which the preload notes are not woken by a check, nor asked for in /proc: what they hold on
// their stacks is found, also while a signal handler sleeps in such a call, and after it.
// FLAGS: -pthread
// TIMEOUT: 60
// NOT-IN: musl: only glibc has the list of threads that leads to their TLS without a stop
// NOT-IN: static: in a static program it is not found
// NOT-IN: archive: needs functions of the C library behind its own
// EXPECT: clean
// ARGS: calls
// STDERR: none was stopped; 0 were asked for
// EXPECT: clean
// ARGS: in_handlers
// STDERR: none was stopped; 0 were asked for
// EXPECT: clean
// ARGS: after_handlers
// STDERR: none was stopped; 0 were asked for
#include "asleep.h"
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <threads.h>
#include <time.h>

extern int __lsan_do_recoverable_leak_check(void);

enum { THREADS = 120, KINDS = 30, CHECKS = 10 };

static volatile int ready, in_handlers, handlers_end;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static cnd_t never_too;
static sem_t semaphore;
static pthread_t first;
static int ends[2], sockets[2], epoll;
static struct timespec until = {1L << 40, 0};
static sigset_t unsent;

static NOINLINE int wait_somewhere(int how) {
  struct timespec hour = {3600, 0};
  struct pollfd end = {.fd = ends[0], .events = POLLIN};
  struct epoll_event event;
  struct iovec piece;
  struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
  pthread_mutex_t own = PTHREAD_MUTEX_INITIALIZER;
  mtx_t mutex;
  fd_set set;
  char byte;
  int number;
  piece.iov_base = &byte, piece.iov_len = 1;
  switch (how % KINDS) {
  case 0: return sem_wait(&semaphore);
  case 1: return sem_timedwait(&semaphore, &until);
  case 2: return pthread_mutex_lock(&own), pthread_cond_wait(&never, &own);
  case 3: return pthread_mutex_lock(&own), pthread_cond_timedwait(&never, &own, &until);
  case 4: return mtx_init(&mutex, mtx_plain), mtx_lock(&mutex), cnd_wait(&never_too, &mutex);
  case 5: return mtx_init(&mutex, mtx_plain), mtx_lock(&mutex), cnd_timedwait(&never_too, &mutex, &until);
  case 6: return pthread_barrier_wait(&barrier);
  case 7: return pthread_join(first, NULL);
  case 8: return poll(&end, 1, -1);
  case 9: return poll(&end, 1, 3600000);
  case 10: return ppoll(&end, 1, &hour, NULL);
  case 11: FD_ZERO(&set); FD_SET(ends[0], &set); return select(ends[0] + 1, &set, NULL, NULL, NULL);
  case 12: FD_ZERO(&set); FD_SET(ends[0], &set); return pselect(ends[0] + 1, &set, NULL, NULL, &hour, NULL);
  case 13: return epoll_wait(epoll, &event, 1, -1);
  case 14: return epoll_pwait(epoll, &event, 1, 3600000, NULL);
  case 15: return (int)read(ends[0], &byte, 1);
  case 16: return (int)recv(sockets[0], &byte, 1, 0);
  case 17: return (int)recvfrom(sockets[0], &byte, 1, 0, NULL, NULL);
  case 18: return (int)recvmsg(sockets[0], &message, 0);
  case 19: return nanosleep(&hour, NULL);
  case 20: return clock_nanosleep(CLOCK_MONOTONIC, 0, &hour, NULL);
  case 21: return usleep(999999999);
  case 22: return (int)sleep(3600);
  case 23: return sigwait(&unsent, &number);
  case 24: return sigwaitinfo(&unsent, NULL);
  case 25: return sigtimedwait(&unsent, NULL, &hour);
  case 26: return sigsuspend(&unsent);
  case 27: return sem_clockwait(&semaphore, CLOCK_MONOTONIC, &until);
  case 28: return pthread_mutex_lock(&own), pthread_cond_clockwait(&never, &own, CLOCK_MONOTONIC, &until);
  default: return pause();
  }
}

static void *body(void *number) {
  void *volatile mine = unhide(hidden_malloc(1212));
  use((void *)&mine);
  scrub();
  __atomic_fetch_add(&ready, 1, __ATOMIC_RELEASE);
  wait_somewhere((int)(uintptr_t)number);
  return mine ? number : NULL;
}

/* Sleeps in the call that it has interrupted, and holds an object of its own. */
static void handle(int signal) {
  void *volatile inner = unhide(hidden_malloc(777));
  use((void *)&inner);
  scrub();
  __atomic_fetch_add(&in_handlers, 1, __ATOMIC_RELEASE);
  while (!handlers_end) usleep(handlers_end ? 1 : 100000000);
  free(inner);
  __atomic_fetch_add(&in_handlers, -1, __ATOMIC_RELEASE);
  (void)signal;
}

static void wake(int signal) { (void)signal; }

int main(int count, char **arguments) {
  const char *what = count > 1 ? arguments[1] : "calls";
  int handlers = strcmp(what, "calls") != 0;
  struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
  static pthread_t threads[THREADS];
  pthread_attr_t attributes;
  take_few_cpus();
  CHECK(pipe(ends) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0 && sem_init(&semaphore, 0, 0) == 0);
  CHECK((epoll = epoll_create1(0)) >= 0 && cnd_init(&never_too) == thrd_success);
  CHECK(pthread_barrier_init(&barrier, NULL, THREADS) == 0 && sigemptyset(&unsent) == 0 && sigaddset(&unsent, SIGUSR2) == 0);
  CHECK(sigprocmask(SIG_BLOCK, &unsent, NULL) == 0);
  CHECK(sigaction(SIGUSR1, &action, NULL) == 0 && signal(SIGALRM, wake) != SIG_ERR);
  CHECK(pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, 512 << 10) == 0);
  for (int i = 0; i < THREADS; i++) {
    CHECK(pthread_create(&threads[i], &attributes, body, (void *)(uintptr_t)(handlers ? 0 : i)) == 0);
    if (i == 0) first = threads[0];
  }
  while (__atomic_load_n(&ready, __ATOMIC_ACQUIRE) < THREADS) usleep(1000);
  await_sleep(THREADS);
  if (handlers) {
    for (int i = 0; i < THREADS; i++) CHECK(pthread_kill(threads[i], SIGUSR1) == 0);
    while (__atomic_load_n(&in_handlers, __ATOMIC_ACQUIRE) < THREADS) usleep(1000);
  }
  if (strcmp(what, "after_handlers") == 0) {
    handlers_end = 1;
    for (int i = 0; i < THREADS; i++) CHECK(pthread_kill(threads[i], SIGALRM) == 0);
    while (__atomic_load_n(&in_handlers, __ATOMIC_ACQUIRE) > 0) usleep(1000);
  }
  await_sleep(THREADS);
  scrub();
  long before = switches_of_others();
  for (int i = 0; i < CHECKS; i++) CHECK(__lsan_do_recoverable_leak_check() == 0);
  CHECK(switches_of_others() == before);
  exit(0);
}
