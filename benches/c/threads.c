/* Time of one leak check in a program with many threads.
 *
 * usage: threads blocked|spinning COUNT CHECKS
 * Every thread holds the only pointer to one heap block on its stack. `blocked` threads wait on a semaphore;
 * `spinning` ones stamp the clock into shared memory for ever, which shows the pause: the longest time in which no
 * thread of the program ran, within the time of a check.
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
static _Atomic uint64_t last_stamp, longest_gap;

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
    uint64_t now = wall_ns();
    uint64_t gap = now - atomic_exchange(&last_stamp, now);
    /* Two threads may swap their stamps in the other order: the difference is then "negative". */
    if ((int64_t)gap > (int64_t)atomic_load(&longest_gap)) atomic_store(&longest_gap, gap);
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
