/* False sharing that the allocator brings about.
 *
 * usage: scratch THREADS MILLISECONDS
 * main allocates one small block for each thread, one after another, so that they are neighbours; each thread frees
 * its block and then, for ever, allocates a block of the same size, writes it 1000 times and frees it. An allocator
 * that hands the neighbours out again makes the threads fight for one cache line. The idea is that of Berger's
 * cache-scratch (Hoard, ASPLOS 2000); the code is our own.
 *
 * prints: wall_ns (wall time times threads for one round of malloc, 1000 writes, free)
 */
#include "bench.h"

#include <pthread.h>
#include <stdatomic.h>

static atomic_int stop;
static _Atomic uint64_t total;

static void *worker(void *arg) {
  free(arg);
  uint64_t n = 0;
  for (; !atomic_load_explicit(&stop, memory_order_relaxed); n++) {
    volatile char *p = must(malloc(8));
    for (int i = 0; i < 1000; i++) p[i & 7]++;
    free((void *)p);
  }
  atomic_fetch_add(&total, n);
  return NULL;
}

int main(int argc, char **argv) {
  if (argc != 3) die("usage: scratch THREADS MILLISECONDS");
  int threads = atoi(argv[1]);
  if (threads < 1 || threads > 64) die("1 to 64 threads");
  void *first[64];
  pthread_t tids[64];
  for (int i = 0; i < threads; i++) first[i] = must(malloc(8));
  uint64_t t0 = wall_ns();
  for (int i = 0; i < threads; i++)
    if (pthread_create(&tids[i], NULL, worker, first[i])) die("pthread_create");
  usleep((useconds_t)atoi(argv[2]) * 1000);
  atomic_store(&stop, 1);
  for (int i = 0; i < threads; i++) pthread_join(tids[i], NULL);
  printf("wall_ns=%.1f\n", (double)(wall_ns() - t0) * threads / (double)atomic_load(&total));
  return 0;
}
