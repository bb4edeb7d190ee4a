/* What every bench program shares: clocks, a random generator, memory figures, the check under test.
 *
 * A program prints one line "key=value key=value ..." on stdout, numbers only, and exits 0. Whatever goes wrong
 * inside goes to stderr with a non-zero exit status: the harness shows it in the table as a failure.
 *
 * The leak check is a weak reference, so that the same source is the program under LD_PRELOAD (gcc's liblsan,
 * Standstill), linked with clang's runtime, and without any checker, where check_available() is false.
 */
#ifndef BENCH_H
#define BENCH_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))

/* Forbids the compiler to reason about what `p` points to: a malloc whose result is dropped stays a malloc. */
#define KEEP(p) __asm__ volatile("" : : "r"(p) : "memory")

static inline uint64_t clock_ns(clockid_t id) {
  struct timespec t;
  clock_gettime(id, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
static inline uint64_t wall_ns(void) { return clock_ns(CLOCK_MONOTONIC); }
/* CPU time of the calling thread: other load on the machine does not count, waiting for a lock does not either. */
static inline uint64_t thread_cpu_ns(void) { return clock_ns(CLOCK_THREAD_CPUTIME_ID); }

/* xorshift64*: a few cycles, so that what is measured is the allocator. */
static inline uint64_t rng_next(uint64_t *s) {
  uint64_t x = *s;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  *s = x;
  return x * 2685821657736338717u;
}

static NOINLINE void die(const char *what) {
  fprintf(stderr, "bench program: %s\n", what);
  _exit(99);
}

static inline void *must(void *p) {
  if (!p) die("allocation failed");
  return p;
}

/* A field of /proc/self/status in KiB ("VmRSS:", "VmHWM:"), by read(2) into the stack: no heap is touched. */
static inline long status_kib(const char *field) {
  char buf[4096];
  int fd = open("/proc/self/status", O_RDONLY);
  if (fd < 0) die("/proc/self/status");
  ssize_t n = read(fd, buf, sizeof buf - 1);
  close(fd);
  if (n <= 0) die("read /proc/self/status");
  buf[n] = 0;
  char *p = strstr(buf, field);
  return p ? strtol(p + strlen(field), NULL, 10) : -1;
}

typedef int (*check_fn)(void);
/* Looked up at run time, not linked: an executable's weak reference may be resolved to null by the linker. */
static inline check_fn check_function(void) {
  return (check_fn)dlsym(RTLD_DEFAULT, "__lsan_do_recoverable_leak_check");
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}
static inline double median(double *v, int n) {
  if (n <= 0) return -1;
  qsort(v, (size_t)n, sizeof *v, by_value);
  return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* Overwrites dead frames, so that a pointer left behind in them does not keep a planted leak alive. */
static NOINLINE void wipe_stack(void) {
  volatile char junk[8192];
  for (size_t i = 0; i < sizeof junk; i++) junk[i] = 0;
  KEEP(junk);
}

static NOINLINE void plant_leak(void) {
  void *p = must(malloc(4242));
  memset(p, 1, 4242);
  KEEP(p);
}

/* Proves that a checker that has just answered "no leak" looks at all: plants one leak and asks again.
 * 1 found, 0 missed. Costs one more check. */
static inline int finds_planted_leak(check_fn check) {
  plant_leak();
  wipe_stack();
  return check() != 0;
}

#endif
