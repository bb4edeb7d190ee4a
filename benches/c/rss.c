/* Resident memory of a heap.
 *
 * usage: rss small COUNT      COUNT blocks of 48 bytes, each written
 *        rss giveback MIB     MIB of mixed blocks, then the oldest 90% freed
 * After freeing, the program goes on for 1.2 s with a little malloc and free, as a program does: allocators that give
 * memory back by and by get the time to.
 *
 * prints: rss_mib, build_ms; giveback also: peak_mib, returned_pct (of the freed bytes)
 */
#include "bench.h"

static double mib(long kib) { return (double)kib / 1024; }

static void small(size_t count) {
  void **v = must(malloc(count * sizeof *v));
  memset(v, 0, count * sizeof *v);
  long before = status_kib("VmRSS:");
  uint64_t t0 = wall_ns();
  for (size_t i = 0; i < count; i++) {
    v[i] = must(malloc(48));
    memset(v[i], 1, 48);
  }
  double build_ms = (double)(wall_ns() - t0) / 1e6;
  /* Without the table of pointers, with whatever the checker had taken before: it is its price too. */
  printf("rss_mib=%.1f before_mib=%.1f build_ms=%.0f\n", mib(status_kib("VmRSS:")) - (double)(count * 8 >> 20),
         mib(before), build_ms);
  KEEP(v);
}

static void giveback(size_t total_mib) {
  size_t total = total_mib << 20, used = 0, n = 0, cap = total / 256;
  void **v = must(malloc(cap * sizeof *v));
  size_t *sizes = must(malloc(cap * sizeof *sizes));
  uint64_t rng = 7;
  while (used < total && n < cap) {
    uint64_t r = rng_next(&rng);
    size_t size = (r & 15) == 0 ? 4096 + (r >> 8) % 16384 : 16 + (r >> 8) % 1000;
    v[n] = must(malloc(size));
    memset(v[n], 1, size);
    sizes[n++] = size;
    used += size;
  }
  long peak = status_kib("VmRSS:");
  size_t freed = 0, upto = n / 10 * 9;
  for (size_t i = 0; i < upto; i++) {
    free(v[i]);
    freed += sizes[i];
  }
  uint64_t t0 = wall_ns();
  while (wall_ns() - t0 < 1200u * 1000000u) {
    for (int i = 0; i < 100; i++) {
      void *p = must(malloc(16 + (rng_next(&rng) >> 8) % 1000));
      KEEP(p);
      free(p);
    }
    usleep(10000);
  }
  long after = status_kib("VmRSS:");
  printf("rss_mib=%.1f peak_mib=%.1f returned_pct=%.1f\n", mib(after), mib(peak),
         100.0 * (double)(peak - after) * 1024 / (double)freed);
  KEEP(v);
}

int main(int argc, char **argv) {
  if (argc != 3) die("usage: rss small|giveback AMOUNT");
  size_t amount = (size_t)atol(argv[2]);
  if (!strcmp(argv[1], "small")) small(amount);
  else if (!strcmp(argv[1], "giveback")) giveback(amount);
  else die("unknown kind");
  fflush(stdout);
  _exit(0);
}
