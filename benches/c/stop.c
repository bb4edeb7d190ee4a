/* Time of a stop alone: every thread stopped, its general and extended registers read, all let go.
 *
 * usage: stop blocked|spinning COUNT ROUNDS
 * Calls standstill_stop_the_world() with a callback that counts the threads. The call returns when the helper is gone, and
 * so when all threads run again. Beside it: bare_stop.c, which does the same from outside in a bare loop.
 *
 * prints: ms (median of ROUNDS stops)
 */
#include "bench.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "../../ffi/include/standstill.h"

typedef int (*stop_fn)(const struct standstill_stop_options *, void (*)(const struct standstill_world *, void *), void *);
typedef size_t (*count_fn)(const struct standstill_world *);

static sem_t never;
static atomic_int ready;
static count_fn thread_count;

static void *blocked(void *arg) {
  atomic_fetch_add(&ready, 1);
  while (sem_wait(&never)) {}
  return arg;
}
static void *spinning(void *arg) {
  atomic_fetch_add(&ready, 1);
  for (;;) KEEP(arg);
  return arg;
}

static void count_threads(const struct standstill_world *world, void *count) { *(size_t *)count = thread_count(world); }

int main(int argc, char **argv) {
  if (argc != 4) die("usage: stop blocked|spinning COUNT ROUNDS");
  int spin = !strcmp(argv[1], "spinning"), count = atoi(argv[2]), rounds = atoi(argv[3]);
  double ms[64];
  if (rounds < 1 || rounds > 64) die("1 to 64 rounds");
  /* Looked up at run time: the same program is linked without the library. */
  stop_fn stop = (stop_fn)dlsym(RTLD_DEFAULT, "standstill_stop_the_world");
  thread_count = (count_fn)dlsym(RTLD_DEFAULT, "standstill_thread_count");
  if (!stop || !thread_count) die("no standstill_stop_the_world in this process");
  sem_init(&never, 0, 0);
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  pthread_attr_setstacksize(&attr, 128 * 1024);
  for (int i = 0; i < count; i++) {
    pthread_t t;
    if (pthread_create(&t, &attr, spin ? spinning : blocked, NULL)) die("pthread_create");
  }
  while (atomic_load(&ready) < count) usleep(1000);
  usleep(20000);
  struct standstill_stop_options options = STANDSTILL_STOP_OPTIONS_INIT;
  options.means = 1; /* as the bare loop does it */
  for (int r = 0; r < rounds; r++) {
    size_t seen = 0;
    uint64_t t0 = wall_ns();
    if (stop(&options, count_threads, &seen) != STANDSTILL_DONE) die("the stop was not complete");
    ms[r] = (double)(wall_ns() - t0) / 1e6;
    if (seen != (size_t)count + 1) die("thread count");
    usleep(5000);
  }
  printf("ms=%.3f\n", median(ms, rounds));
  fflush(stdout);
  _exit(0);
}
