/* Cost of one malloc+free pair under churn, at a given call depth, in code without frame pointers.
 *
 * usage: pair DEPTH THREADS LIVE MILLISECONDS
 * Each thread keeps LIVE blocks of mixed sizes and replaces random ones. It descends DEPTH frames through four
 * mutually recursive functions with frames of different size (the path is one of 64 and decides which function comes
 * next), replaces 32 blocks at the bottom, returns, and goes on with another path. The same loop without malloc and
 * free is measured first and taken off.
 *
 * prints: cpu_ns (thread CPU time a pair), wall_ns (wall time times threads a pair), pairs, rss_kib
 */
#include "bench.h"

#include <pthread.h>

enum { BATCH = 32, PATHS = 64 };

struct churn {
  void **slots;
  size_t live;
  uint64_t rng;
  int allocate;
  uint64_t done;
};

/* 70% up to 64 bytes, 20% up to 256, 9% up to 1 KiB, 1% up to 8 KiB. */
static inline size_t mixed_size(uint64_t r) {
  unsigned kind = (unsigned)(r & 1023);
  uint64_t v = r >> 10;
  if (kind < 717) return 1 + v % 64;
  if (kind < 922) return 65 + v % 192;
  if (kind < 1014) return 257 + v % 768;
  return 1025 + v % 7168;
}

static NOINLINE int leaf(struct churn *c) {
  for (int i = 0; i < BATCH; i++) {
    uint64_t r = rng_next(&c->rng);
    size_t slot = (size_t)(r >> 40) % c->live;
    size_t size = mixed_size(r);
    if (c->allocate) {
      free(c->slots[slot]);
      char *p = must(malloc(size));
      p[0] = (char)r;
      c->slots[slot] = p;
    } else {
      KEEP(slot + size);
    }
  }
  c->done += BATCH;
  return 1;
}

static int down_a(struct churn *c, int depth, uint64_t path);
static int down_b(struct churn *c, int depth, uint64_t path);
static int down_c(struct churn *c, int depth, uint64_t path);
static int down_d(struct churn *c, int depth, uint64_t path);

static inline __attribute__((always_inline)) int next(struct churn *c, int depth, uint64_t path) {
  if (depth <= 0) return leaf(c);
  uint64_t rest = path >> 2 | path << 62;
  switch (path & 3) {
  case 0: return down_a(c, depth - 1, rest);
  case 1: return down_b(c, depth - 1, rest);
  case 2: return down_c(c, depth - 1, rest);
  default: return down_d(c, depth - 1, rest);
  }
}

#define DOWN(name, bytes)                                                                                             \
  static NOINLINE int name(struct churn *c, int depth, uint64_t path) {                                               \
    char local[bytes];                                                                                                \
    KEEP(local);                                                                                                      \
    int r = next(c, depth, path);                                                                                     \
    KEEP(local);                                                                                                      \
    return r + 1;                                                                                                     \
  }
DOWN(down_a, 8)
DOWN(down_b, 40)
DOWN(down_c, 120)
DOWN(down_d, 24)

static int depth;
static size_t live;
static uint64_t budget_ns;
static uint64_t paths[PATHS];
static pthread_barrier_t start;

struct result {
  uint64_t seed;
  double cpu_ns, wall_ns;
  uint64_t pairs;
};

/* main, thread start and the functions here are part of the depth: they are the frames below `down`. */
static void rounds(struct churn *c, uint64_t until_ns, uint64_t *cpu, uint64_t *wall) {
  uint64_t c0 = thread_cpu_ns(), w0 = wall_ns();
  for (unsigned i = 0;; i++) {
    next(c, depth - 3, paths[i % PATHS]);
    if (i % 16 == 0 && wall_ns() - w0 > until_ns) break;
  }
  *cpu = thread_cpu_ns() - c0;
  *wall = wall_ns() - w0;
}

static void *worker(void *arg) {
  struct result *res = arg;
  struct churn c = {.slots = must(calloc(live, sizeof(void *))), .live = live, .rng = res->seed};
  uint64_t cpu, wall, ecpu, ewall;
  rounds(&c, budget_ns / 10, &ecpu, &ewall);
  double empty_cpu = (double)ecpu / (double)c.done, empty_wall = (double)ewall / (double)c.done;
  for (size_t i = 0; i < live; i++) c.slots[i] = must(malloc(mixed_size(rng_next(&c.rng))));
  c.allocate = 1;
  rounds(&c, budget_ns / 10, &cpu, &wall); /* warm up */
  c.done = 0;
  pthread_barrier_wait(&start);
  rounds(&c, budget_ns, &cpu, &wall);
  res->cpu_ns = (double)cpu / (double)c.done - empty_cpu;
  res->wall_ns = (double)wall / (double)c.done - empty_wall;
  res->pairs = c.done;
  pthread_barrier_wait(&start);
  for (size_t i = 0; i < live; i++) free(c.slots[i]);
  free(c.slots);
  return NULL;
}

int main(int argc, char **argv) {
  if (argc != 5) die("usage: pair DEPTH THREADS LIVE MILLISECONDS");
  depth = atoi(argv[1]);
  int threads = atoi(argv[2]);
  live = (size_t)atol(argv[3]);
  budget_ns = (uint64_t)atol(argv[4]) * 1000000u;
  if (threads < 1 || threads > 64 || live < 1) die("bad arguments");
  uint64_t seed = 0x9e3779b97f4a7c15u;
  for (int i = 0; i < PATHS; i++) paths[i] = rng_next(&seed);
  struct result res[64];
  pthread_t tids[64];
  pthread_barrier_init(&start, NULL, (unsigned)threads);
  for (int i = 1; i < threads; i++) {
    res[i].seed = 77 + (uint64_t)i;
    if (pthread_create(&tids[i], NULL, worker, &res[i])) die("pthread_create");
  }
  res[0].seed = 77;
  worker(&res[0]);
  double cpu = 0, wall = 0;
  uint64_t pairs = 0;
  for (int i = 0; i < threads; i++) {
    if (i) pthread_join(tids[i], NULL);
    cpu += res[i].cpu_ns / threads;
    wall += res[i].wall_ns / threads;
    pairs += res[i].pairs;
  }
  printf("cpu_ns=%.1f wall_ns=%.1f pairs=%llu rss_kib=%ld\n", cpu, wall, (unsigned long long)pairs,
         status_kib("VmHWM:"));
  return 0;
}
