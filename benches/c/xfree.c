/* Every block is freed by another thread than the one that allocated it.
 *
 * usage: xfree THREADS MILLISECONDS
 * Threads stand in a ring; each allocates batches of 64 blocks, passes them to its right neighbour through a bounded
 * queue and frees what comes from the left. The load is like that of Lever and Boreham's malloc test (USENIX 2000)
 * as allocators' authors use it; the code is our own.
 *
 * prints: wall_ns (wall time times threads a pair), pairs, rss_kib
 */
#include "bench.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { BATCH = 64, QUEUE = 256 };

struct queue {
  _Alignas(64) atomic_size_t head;
  _Alignas(64) atomic_size_t tail;
  void *items[QUEUE][BATCH];
};

static struct queue *queues;
static int threads;
static atomic_int stop;
static _Atomic uint64_t total;

static void *worker(void *arg) {
  int me = (int)(uintptr_t)arg;
  struct queue *out = &queues[me], *in = &queues[(me + threads - 1) % threads];
  uint64_t rng = 5 + (uint64_t)me, pairs = 0;
  while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
    int idle = 1;
    size_t t = atomic_load_explicit(&out->tail, memory_order_relaxed);
    if (t - atomic_load_explicit(&out->head, memory_order_acquire) < QUEUE) {
      for (int i = 0; i < BATCH; i++) {
        char *p = must(malloc(16 + rng_next(&rng) % 240));
        p[0] = 1;
        out->items[t % QUEUE][i] = p;
      }
      atomic_store_explicit(&out->tail, t + 1, memory_order_release);
      idle = 0;
    }
    size_t h = atomic_load_explicit(&in->head, memory_order_relaxed);
    if (h != atomic_load_explicit(&in->tail, memory_order_acquire)) {
      for (int i = 0; i < BATCH; i++) free(in->items[h % QUEUE][i]);
      atomic_store_explicit(&in->head, h + 1, memory_order_release);
      pairs += BATCH;
      idle = 0;
    }
    if (idle) sched_yield();
  }
  atomic_fetch_add(&total, pairs);
  return NULL;
}

int main(int argc, char **argv) {
  if (argc != 3) die("usage: xfree THREADS MILLISECONDS");
  threads = atoi(argv[1]);
  if (threads < 2 || threads > 64) die("2 to 64 threads");
  queues = must(aligned_alloc(64, (size_t)threads * sizeof *queues));
  memset(queues, 0, (size_t)threads * sizeof *queues);
  pthread_t tids[64];
  uint64_t t0 = wall_ns();
  for (int i = 0; i < threads; i++)
    if (pthread_create(&tids[i], NULL, worker, (void *)(uintptr_t)i)) die("pthread_create");
  usleep((useconds_t)atoi(argv[2]) * 1000);
  atomic_store(&stop, 1);
  for (int i = 0; i < threads; i++) pthread_join(tids[i], NULL);
  uint64_t wall = wall_ns() - t0, pairs = atomic_load(&total);
  printf("wall_ns=%.1f pairs=%llu rss_kib=%ld\n", (double)wall * threads / (double)pairs, (unsigned long long)pairs,
         status_kib("VmHWM:"));
  fflush(stdout);
  _exit(0);
}
