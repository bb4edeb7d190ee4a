/* Time of one leak check over a large heap.
 *
 * usage: heap graph|list|words|untouched AMOUNT CHECKS
 *   graph AMOUNT      nodes of 48 bytes, in a random tree (so that each is reachable) plus two random edges each
 *   list AMOUNT       nodes of 48 bytes in one list whose order is shuffled: nothing can be done in parallel
 *   words AMOUNT      MiB of random words in blocks of 1 MiB
 *   untouched AMOUNT  MiB from calloc in blocks of 64 MiB, never touched
 * With "bare" as CHECKS no checker is needed: `words` is read once by as many threads as there are CPUs.
 *
 * prints: ms (median of CHECKS checks), build_ms, rss_before_kib, rss_after_kib, rss_growth_mib, peak_percent (how much more
 * was resident at most while checks ran, in percent of what was before), false_leaks, found
 */
#include "heaps.h"

#include <pthread.h>

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

/* From now on VmHWM is the peak from now on (proc(5), clear_refs). */
static void forget_peak(void) {
  int fd = open("/proc/self/clear_refs", O_WRONLY);
  if (fd < 0 || write(fd, "5", 1) != 1) die("/proc/self/clear_refs");
  close(fd);
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
  double build_ms = build_heap(argv[1], amount);
  forget_peak();
  long before = status_kib("VmRSS:");
  int false_leaks = 0;
  for (int i = 0; i < checks; i++) {
    uint64_t t0 = wall_ns();
    if (bare) bare_read();
    else false_leaks += check() != 0;
    ms[i] = (double)(wall_ns() - t0) / 1e6;
  }
  long after = status_kib("VmRSS:"), peak = status_kib("VmHWM:");
  printf("ms=%.3f build_ms=%.0f rss_before_kib=%ld rss_after_kib=%ld rss_growth_mib=%.1f peak_percent=%.2f",
         median(ms, checks), build_ms, before, after, (double)(after - before) / 1024,
         100.0 * (double)(peak - before) / (double)before);
  if (!bare) printf(" false_leaks=%d found=%d", false_leaks, finds_planted_leak(check));
  printf("\n");
  fflush(stdout);
  KEEP(root);
  _exit(0);
}
