/* Time of one leak check in a program with many threads.
 *
 * usage: threads blocked|spinning COUNT CHECKS
 * Every thread holds the only pointer to one heap block on its stack. `blocked` threads wait on a semaphore;
 * `spinning` ones stamp the clock into shared memory for ever, which shows the pause: the longest time in which no
 * thread of the program ran, within the time of a check. That is from the last stamp of any thread before it to the first
 * stamp of any thread after, so waiting for a CPU is no part of it as long as another thread has one.
 *
 * prints: ms (median of CHECKS checks), pause_ms (spinning: median), false_leaks (checks that reported one),
 * found (1: a planted leak was found by a last check)
 */
#include "bench.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

static sem_t never;
static atomic_int ready;
/* On lines of their own: every thread writes them all the time. */
static _Alignas(128) _Atomic uint64_t last_stamp;
static _Alignas(128) _Atomic uint64_t longest_gap;

static void *blocked(void *arg) {
  void *volatile only = must(malloc(100));
  atomic_fetch_add(&ready, 1);
  while (sem_wait(&never)) {}
  free(only);
  return arg;
}

static void *spinning(void *arg) {
  void *volatile only = must(malloc(100));
  atomic_fetch_add(&ready, 1);
  for (;;) {
    uint64_t now = wall_ns(), last = atomic_load(&last_stamp);
    /* A thread that lost the CPU between reading the clock and here finds later stamps, and must not put its old one in
     * their place: the next thread would see a gap as long as the wait for the CPU. */
    while (now > last)
      if (atomic_compare_exchange_weak(&last_stamp, &last, now)) {
        if (now - last > atomic_load(&longest_gap)) atomic_store(&longest_gap, now - last);
        break;
      }
  }
  free(only);
  return arg;
}

int main(int argc, char **argv) {
  if (argc != 4) die("usage: threads blocked|spinning COUNT CHECKS");
  int spin = !strcmp(argv[1], "spinning");
  int count = atoi(argv[2]), checks = atoi(argv[3]);
  double ms[64], pause[64];
  if (checks < 1 || checks > 64) die("1 to 64 checks");
  check_fn check = check_function();
  if (!check) die("no leak checker in this process");
  sem_init(&never, 0, 0);
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  pthread_attr_setstacksize(&attr, 128 * 1024);
  for (int i = 1; i < count + spin; i++) {
    pthread_t t;
    if (pthread_create(&t, &attr, spin ? spinning : blocked, NULL)) die("pthread_create");
  }
  while (atomic_load(&ready) < count - 1 + spin) usleep(1000);
  usleep(20000);
  void *volatile only = must(malloc(100));
  int false_leaks = 0;
  for (int i = 0; i < checks; i++) {
    atomic_store(&longest_gap, 0);
    uint64_t t0 = wall_ns();
    false_leaks += check() != 0;
    ms[i] = (double)(wall_ns() - t0) / 1e6;
    pause[i] = (double)atomic_load(&longest_gap) / 1e6;
    usleep(5000);
  }
  int found = finds_planted_leak(check);
  printf("ms=%.3f false_leaks=%d found=%d", median(ms, checks), false_leaks, found);
  if (spin) printf(" pause_ms=%.3f", median(pause, checks));
  printf("\n");
  fflush(stdout);
  KEEP(only);
  _exit(0);
}
