/* Server-like load: blocks outlive the thread that made them.
 *
 * usage: larson THREADS MILLISECONDS
 * Each worker owns 5000 blocks of 16 to 512 bytes and replaces random ones. After 20,000 replacements it hands its
 * blocks to a new thread and ends: the successor frees what its predecessors allocated. The idea is that of Larson
 * and Krishnan's server benchmark (ISMM 1998); the code is our own.
 *
 * prints: wall_ns (wall time times threads a pair), pairs, rss_kib
 */
#include "bench.h"

#include <pthread.h>
#include <stdatomic.h>

enum { SLOTS = 5000, ROUND = 20000 };

struct line {
  void *slots[SLOTS];
  uint64_t rng, pairs;
};

static atomic_int stop, running;
static pthread_attr_t detached;

static void *generation(void *arg) {
  struct line *l = arg;
  for (int i = 0; i < ROUND; i++) {
    uint64_t r = rng_next(&l->rng);
    size_t slot = (size_t)(r >> 40) % SLOTS;
    free(l->slots[slot]);
    char *p = must(malloc(16 + r % 497));
    p[0] = 1;
    l->slots[slot] = p;
  }
  l->pairs += ROUND;
  pthread_t t;
  if (atomic_load(&stop)) atomic_fetch_sub(&running, 1);
  else if (pthread_create(&t, &detached, generation, l)) die("pthread_create");
  return NULL;
}

int main(int argc, char **argv) {
  if (argc != 3) die("usage: larson THREADS MILLISECONDS");
  int threads = atoi(argv[1]);
  if (threads < 1 || threads > 64) die("1 to 64 threads");
  struct line *lines = must(calloc((size_t)threads, sizeof *lines));
  pthread_attr_init(&detached);
  pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
  for (int i = 0; i < threads; i++) {
    lines[i].rng = 11 + (uint64_t)i;
    for (int k = 0; k < SLOTS; k++) lines[i].slots[k] = must(malloc(16 + rng_next(&lines[i].rng) % 497));
  }
  uint64_t t0 = wall_ns();
  atomic_store(&running, threads);
  for (int i = 0; i < threads; i++) {
    pthread_t t;
    if (pthread_create(&t, &detached, generation, &lines[i])) die("pthread_create");
  }
  usleep((useconds_t)atoi(argv[2]) * 1000);
  atomic_store(&stop, 1);
  while (atomic_load(&running)) usleep(200);
  uint64_t wall = wall_ns() - t0, pairs = 0;
  for (int i = 0; i < threads; i++) pairs += lines[i].pairs;
  printf("wall_ns=%.1f pairs=%llu rss_kib=%ld\n", (double)wall * threads / (double)pairs, (unsigned long long)pairs,
         status_kib("VmHWM:"));
  fflush(stdout);
  _exit(0);
}
