// A signal that a thread sends in the instant in which a stop ends still ends the call that another one waits in, with EINTR.
// FLAGS: -pthread
// TIMEOUT: 120
// REFERENCE: gives a spurious EINTR
// NOT-IN: archive: without the preload's functions a handler may run between a call's end by a stop and its beginning anew
// NOT-IN: static: without the preload's functions a handler may run between a call's end by a stop and its beginning anew
// EXPECT: clean
// EXPECT-WITH ptrace=0: clean
#include "support.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>

extern int __lsan_do_recoverable_leak_check(void);

/* Of so many signals at most one may miss its call, in the microsecond before its call begins again: docs/LIMITS.md. */
enum { ROUNDS = 60, MS = 1000000, MAY_MISS_ONE_IN = 20 };
static volatile int waits, over, handled, stop;
static int ends[2], waiter;

static void *checks(void *unused) {
  while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
    CHECK(__lsan_do_recoverable_leak_check() == 0);
    usleep(1000);
  }
  return unused;
}

static void on_usr1(int signal) {
  (void)signal;
  handled = 1;
}

/* Reads the clock until the time has leapt: then a stop has just ended. */
static void await_stop(void) {
  uint64_t start = now_ns(), last = start, now;
  while ((now = now_ns()) - last < MS / 4 && now - start < 500 * UINT64_C(1000000)) last = now;
}

static int is_asleep(void) {
  char path[64], text[256] = {0};
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", waiter);
  int file = open(path, O_RDONLY);
  CHECK(file >= 0 && read(file, text, sizeof text - 1) > 0);
  close(file);
  char *behind = strrchr(text, ')');
  return behind && strstr(behind, ") S") == behind;
}

static void *sends(void *to) {
  for (int round = 1; !__atomic_load_n(&stop, __ATOMIC_ACQUIRE); round++) {
    while (waits < round)
      if (stop) return to;
    /* Asleep for some time on end: in the call, and not on the way to it. */
    for (int times = 0; times < 5; times = is_asleep() ? times + 1 : 0) usleep(500);
    await_stop();
    CHECK(pthread_kill(*(pthread_t *)to, SIGUSR1) == 0);
    uint64_t start = now_ns();
    while (over < round && now_ns() - start < 5000 * UINT64_C(1000000)) usleep(500);
    if (over < round) CHECK(write(ends[1], "x", 1) == 1);
    while (over < round) usleep(500);
  }
  return to;
}

int main(void) {
  struct sigaction action = {.sa_handler = on_usr1};
  struct epoll_event event;
  struct timeval seconds = {20, 0};
  pthread_t checker, sender, self = pthread_self();
  char byte;
  int pair[2], epoll = epoll_create1(0);
  CHECK(sigaction(SIGUSR1, &action, NULL) == 0 && epoll >= 0);
  waiter = own_tid();
  CHECK(pipe(ends) == 0);
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  CHECK(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &seconds, sizeof seconds) == 0);
  CHECK(pthread_create(&checker, NULL, checks, NULL) == 0 && pthread_create(&sender, NULL, sends, &self) == 0);
  int missed = 0;
  for (int round = 1; round <= repeats(ROUNDS); round++) {
    long result;
    handled = 0;
    waits = round;
    switch (round % 3) {
      case 0: result = epoll_wait(epoll, &event, 1, 20000); break;
      case 1: result = recv(pair[0], &byte, 1, 0); break;
      /* The kernel makes this one again by itself after a handler with SA_RESTART; ours is one without. */
      default: result = read(ends[0], &byte, 1);
    }
    int error = errno;
    over = round;
    if (result != -1 || error != EINTR || !handled)
      fprintf(stderr, "round %d: %ld, errno %d, handled %d\n", round, result, error, handled), missed++;
    /* What the sender wrote to end a call that was no read. */
    struct pollfd left = {ends[0], POLLIN, 0};
    while (missed > 0 && poll(&left, 1, 0) == 1) CHECK(read(ends[0], &byte, 1) == 1);
  }
  stop = 1;
  CHECK(pthread_join(checker, NULL) == 0 && pthread_join(sender, NULL) == 0);
  return missed * MAY_MISS_ONE_IN > repeats(ROUNDS) ? 99 : 0;
}
