/* The heaps that checks are measured on: see heap.c. Included by each program that builds one. */
#ifndef HEAPS_H
#define HEAPS_H

#include "bench.h"

#include <sys/mman.h>

struct node {
  struct node *left, *right, *any[2];
  uint64_t data[2];
};
_Static_assert(sizeof(struct node) == 48, "the figures are for 48-byte nodes");

static struct node *root __attribute__((used));
static uint64_t **blocks __attribute__((used));
static size_t block_count;
static const size_t WORDS = (1 << 20) / sizeof(uint64_t);

static int by_address(const void *a, const void *b) {
  uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;
  return (x > y) - (x < y);
}

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

/* One address of each page with nodes, hidden from scanners, for whoever wants to write to all of them. */
static uintptr_t *hidden_pages;
static size_t page_count;

static int want_pages;

static void note_nodes(struct node **v, size_t n) {
  if (!want_pages) return;
  hidden_pages = mmap(NULL, n * sizeof *hidden_pages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (hidden_pages == MAP_FAILED) die("mmap");
  for (size_t i = 0; i < n; i++) hidden_pages[i] = (uintptr_t)&v[i]->data[1];
  qsort(hidden_pages, n, sizeof *hidden_pages, by_address);
  for (size_t i = 0; i < n; i++)
    if (page_count == 0 || ~hidden_pages[page_count - 1] >> 12 != hidden_pages[i] >> 12)
      hidden_pages[page_count++] = ~hidden_pages[i];
  munmap(hidden_pages + (page_count + 511) / 512 * 512, (n - (page_count + 511) / 512 * 512) * sizeof *hidden_pages);
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
  note_nodes(v, n);
  free(v);
}

static NOINLINE void build_list(size_t n) {
  struct node **v = shuffled_nodes(n);
  for (size_t i = 0; i + 1 < n; i++) v[i]->left = v[i + 1];
  root = v[0];
  note_nodes(v, n);
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
  if (!want_pages) return;
  hidden_pages = mmap(NULL, mib * 256 * sizeof *hidden_pages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (hidden_pages == MAP_FAILED) die("mmap");
  for (size_t i = 0; i < mib; i++)
    for (size_t w = 0; w < WORDS; w += 512) hidden_pages[page_count++] = ~(uintptr_t)&blocks[i][w];
}

static NOINLINE void build_untouched(size_t mib) {
  block_count = mib / 64;
  blocks = must(malloc((block_count + 1) * sizeof *blocks));
  for (size_t i = 0; i < block_count; i++) blocks[i] = must(calloc(64, 1 << 20));
}

/* Builds the heap of that kind; returns how long it took, in milliseconds. */
static double build_heap(const char *kind, size_t amount) {
  uint64_t t0 = wall_ns();
  if (!strcmp(kind, "graph")) build_graph(amount);
  else if (!strcmp(kind, "list")) build_list(amount);
  else if (!strcmp(kind, "words")) build_words(amount);
  else if (!strcmp(kind, "untouched")) build_untouched(amount);
  else die("unknown heap");
  double ms = (double)(wall_ns() - t0) / 1e6;
  wipe_stack();
  return ms;
}

#endif
