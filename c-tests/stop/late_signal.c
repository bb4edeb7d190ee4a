// A thread that a stop by signal did not reach in time gets the signal later, in the middle of a call: the call goes on all the same, with the timeout that it had.
// FLAGS: -pthread
// TIMEOUT: 60
// REFERENCE: has no stop by signal
// EXPECT-WITH ptrace=0:deadline_ms=100: clean
// STDERR: the threads did not answer the stop signal
#include "support.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>

extern int __lsan_do_recoverable_leak_check(void);

static volatile int blocked, checked, waits, done;
static int event_fd;

/* No function of libc blocks libc's own signals; a thread that gets no CPU is as deaf. */
static void block_all(void) {
  uint64_t all = ~UINT64_C(0);
  CHECK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, 8) == 0);
}

static void *deaf(void *unused) {
  struct epoll_event event = {.events = EPOLLIN};
  sigset_t none;
  int epoll = epoll_create1(0);
  CHECK(epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, event_fd, &event) == 0);
  sigemptyset(&none);
  for (int round = 0; round < 3; round++) {
    block_all();
    __atomic_store_n(&blocked, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&checked, __ATOMIC_ACQUIRE)) usleep(1000);
    checked = 0;
    waits = 1;
    /* The signal is let in here, and finds no stop any more. */
    uint64_t start = now_ns();
    int result = epoll_pwait(epoll, &event, 1, round == 1 ? 300 : 60000, &none);
    uint64_t took = now_ns() - start;
    if (result < 0) fprintf(stderr, "errno %d after %d ms\n", errno, (int)(took / 1000000));
    CHECK(result == (round != 1));
    CHECK(round != 1 || took >= 299000000);
    uint64_t count;
    CHECK(round == 1 || read(event_fd, &count, sizeof count) == sizeof count);
    __atomic_store_n(&done, 1, __ATOMIC_RELEASE);
  }
  return unused;
}

int main(void) {
  pthread_t thread;
  const char *preload = getenv("LD_PRELOAD");
  if (!preload || !strstr(preload, "standstill")) skip("only the preload's functions say which call a thread is in");
  event_fd = eventfd(0, 0);
  CHECK(event_fd >= 0 && pthread_create(&thread, NULL, deaf, NULL) == 0);
  for (int round = 0; round < 3; round++) {
    await(&blocked);
    blocked = 0;
    CHECK(__lsan_do_recoverable_leak_check() == 0);
    __atomic_store_n(&checked, 1, __ATOMIC_RELEASE);
    await(&waits);
    waits = 0;
    usleep(50000);
    uint64_t one = 1;
    CHECK(round == 1 || write(event_fd, &one, sizeof one) == sizeof one);
    await(&done);
    done = 0;
  }
  CHECK(pthread_join(thread, NULL) == 0);
  return 0;
}
