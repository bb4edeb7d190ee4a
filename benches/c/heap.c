/* Time of one leak check over a large heap.
 *
 * usage: heap graph|list|words|untouched AMOUNT CHECKS
 *   graph AMOUNT      nodes of 48 bytes, in a random tree (so that each is reachable) plus two random edges each
 *   list AMOUNT       nodes of 48 bytes in one list whose order is shuffled: nothing can be done in parallel
 *   words AMOUNT      MiB of random words in blocks of 1 MiB
 *   untouched AMOUNT  MiB from calloc in blocks of 64 MiB, never touched
 * With "bare" as CHECKS no checker is needed: `words` is read once by as many threads as there are CPUs.
 *
 * prints: ms (median of CHECKS checks), build_ms, rss_before_kib, rss_after_kib, rss_growth_mib, false_leaks, found
 */
#include "bench.h"

#include <pthread.h>

struct node {
  struct node *left, *right, *any[2];
  uint64_t data[2];
};
_Static_assert(sizeof(struct node) == 48, "the figures are for 48-byte nodes");

static struct node *root;
static uint64_t **blocks;
static size_t block_count;
static const size_t WORDS = (1 << 20) / sizeof(uint64_t);

static struct node **shuffled_nodes(size_t n) {
  struct node **v = must(malloc(n * sizeof *v));
  for (size_t i = 0; i < n; i++) v[i] = must(calloc(1, sizeof(struct node)));
  uint64_t rng = 42;
  for (size_t i = n - 1; i > 0; i--) {
    size_t j = (size_t)(rng_next(&rng) >> 20) % (i + 1);
    struct node *t = v[i];
    v[i] = v[j];
    v[j] = t;
  }
  return v;
}

static NOINLINE void build_graph(size_t n) {
  struct node **v = shuffled_nodes(n);
  uint64_t rng = 43;
  for (size_t i = 0; i < n; i++) {
    if (2 * i + 1 < n) v[i]->left = v[2 * i + 1];
    if (2 * i + 2 < n) v[i]->right = v[2 * i + 2];
    for (int k = 0; k < 2; k++) v[i]->any[k] = v[(rng_next(&rng) >> 20) % n];
    v[i]->data[0] = i;
  }
  root = v[0];
  free(v);
}

static NOINLINE void build_list(size_t n) {
  struct node **v = shuffled_nodes(n);
  for (size_t i = 0; i + 1 < n; i++) v[i]->left = v[i + 1];
  root = v[0];
  free(v);
}

static NOINLINE void build_words(size_t mib) {
  uint64_t rng = 44;
  block_count = mib;
  blocks = must(malloc(mib * sizeof *blocks));
  for (size_t i = 0; i < mib; i++) {
    blocks[i] = must(malloc(1 << 20));
    for (size_t w = 0; w < WORDS; w++) blocks[i][w] = rng_next(&rng);
  }
}

static NOINLINE void build_untouched(size_t mib) {
  block_count = mib / 64;
  blocks = must(malloc((block_count + 1) * sizeof *blocks));
  for (size_t i = 0; i < block_count; i++) blocks[i] = must(calloc(64, 1 << 20));
}

static int readers;
static void *read_part(void *arg) {
  uint64_t sum = 0;
  for (size_t i = (size_t)(uintptr_t)arg; i < block_count; i += (size_t)readers)
    for (size_t w = 0; w < WORDS; w++) sum += blocks[i][w];
  return (void *)(uintptr_t)sum;
}

static void bare_read(void) {
  pthread_t t[64];
  for (int i = 1; i < readers; i++)
    if (pthread_create(&t[i], NULL, read_part, (void *)(uintptr_t)i)) die("pthread_create");
  KEEP(read_part(NULL));
  for (int i = 1; i < readers; i++) pthread_join(t[i], NULL);
}

int main(int argc, char **argv) {
  if (argc != 4) die("usage: heap graph|list|words|untouched AMOUNT CHECKS|bare");
  size_t amount = (size_t)atol(argv[2]);
  int bare = !strcmp(argv[3], "bare"), checks = bare ? 5 : atoi(argv[3]);
  double ms[64];
  if (checks < 1 || checks > 64) die("1 to 64 checks");
  check_fn check = check_function();
  if (!check && !bare) die("no leak checker in this process");
  readers = (int)sysconf(_SC_NPROCESSORS_ONLN);
  if (readers > 64) readers = 64;
  uint64_t t0 = wall_ns();
  if (!strcmp(argv[1], "graph")) build_graph(amount);
  else if (!strcmp(argv[1], "list")) build_list(amount);
  else if (!strcmp(argv[1], "words")) build_words(amount);
  else if (!strcmp(argv[1], "untouched")) build_untouched(amount);
  else die("unknown heap");
  double build_ms = (double)(wall_ns() - t0) / 1e6;
  wipe_stack();
  long before = status_kib("VmRSS:");
  int false_leaks = 0;
  for (int i = 0; i < checks; i++) {
    t0 = wall_ns();
    if (bare) bare_read();
    else false_leaks += check() != 0;
    ms[i] = (double)(wall_ns() - t0) / 1e6;
  }
  long after = status_kib("VmRSS:");
  printf("ms=%.3f build_ms=%.0f rss_before_kib=%ld rss_after_kib=%ld rss_growth_mib=%.1f", median(ms, checks),
         build_ms, before, after, (double)(after - before) / 1024);
  if (!bare) printf(" false_leaks=%d found=%d", false_leaks, finds_planted_leak(check));
  printf("\n");
  fflush(stdout);
  KEEP(root);
  _exit(0);
}
