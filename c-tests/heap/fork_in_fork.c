// A signal handler forks while its own thread is inside of fork, and beside root regions that come and go: nothing hangs, and both children can check.
// TIMEOUT: 120
// EXPECT: clean
#include "support.h"
#include <errno.h>
#include <signal.h>
#include <standstill.h>
#include <sys/time.h>
#include <sys/wait.h>

static volatile sig_atomic_t in_fork, registering, forked_inside, handled;
static char region[64];
static uint64_t fork_ns;

/* Signals come anywhere in a fork and behind it: from a tenth of its time to twice that. One is asked for when one has been
   handled, since on a slow machine they would otherwise follow each other for ever. */
static void ask_for_signal(void) {
  static unsigned turn;
  uint64_t us = fork_ns * (1 + turn++ * 7 % 20) / 10 / 1000 + 1;
  struct itimerval once = {{0, 0}, {(time_t)(us / 1000000), (suseconds_t)(us % 1000000)}};
  CHECK(setitimer(ITIMER_REAL, &once, NULL) == 0);
}

static void expect_end(pid_t child) {
  int status;
  pid_t ended;
  CHECK(child > 0);
  while ((ended = waitpid(child, &status, 0)) < 0 && errno == EINTR) {}
  CHECK(ended == child && status == 0);
}

static void on_signal(int signal) {
  (void)signal;
  int saved = errno;
  handled++;
  pid_t child = fork();
  if (child == 0) _exit(handled % 64 == 0 && !registering && standstill_check_recoverable(NULL, NULL) != STANDSTILL_CLEAN ? 3 : 0);
  expect_end(child);
  forked_inside += in_fork;
  ask_for_signal();
  errno = saved;
}

int main(void) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  CHECK(sigaction(SIGALRM, &action, NULL) == 0);
  struct itimerval never = {{0, 0}, {0, 0}};
  uint64_t began = now_ns();
  for (int i = 0; i < 8; i++) {
    pid_t child = fork();
    if (child == 0) _exit(0);
    expect_end(child);
  }
  fork_ns = (now_ns() - began) / 8;
  ask_for_signal();
  int wanted = repeats(200);
  /* A signal during clone(2) is handled before it begins anew: most of these are inside of fork. */
  for (int i = 0; i < 20000 && (forked_inside < wanted || i < wanted); i++) {
    registering = 1;
    standstill_register_root_region(region, sizeof region);
    registering = 0;
    int before = handled;
    uint64_t start = now_ns();
    in_fork = 1;
    pid_t child = fork();
    in_fork = 0;
    /* A busy machine forks now faster, now slower: signals follow. */
    if (child > 0 && handled == before) fork_ns = (3 * fork_ns + now_ns() - start) / 4;
    if (child == 0) {
      setitimer(ITIMER_REAL, &never, NULL);
      _exit(i % 64 == 0 && standstill_check_recoverable(NULL, NULL) != STANDSTILL_CLEAN ? 4 : 0);
    }
    expect_end(child);
    registering = 1;
    standstill_unregister_root_region(region, sizeof region);
    registering = 0;
  }
  CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
  CHECK(forked_inside >= wanted);
  CHECK(standstill_check_recoverable(NULL, NULL) == STANDSTILL_CLEAN);
  return 0;
}
