// A heap that is large enough for several tasks to mark it, in a program with threads and in one that scans itself: what is held is held, what is lost is lost.
// FLAGS: -pthread
// EXPECT: direct 48 bytes in 1 object, indirect 95952 bytes in 1999 objects
// EXPECT: direct 48 bytes in 1 object, indirect 95952 bytes in 1999 objects
// ARGS: threads
// EXPECT-WITH scan_threads=1000:verbosity=1: direct 48 bytes in 1 object, indirect 95952 bytes in 1999 objects
// STDERR: note: scan_threads=1000 is more than two for each CPU that can be used: not more than \d+ tasks scan
// EXPECT-WITH scan_threads=2:verbosity=1: direct 48 bytes in 1 object, indirect 95952 bytes in 1999 objects
// STDERR-NOT: scan_threads
#include <pthread.h>
#include <unistd.h>
#include "support.h"

enum { NODES = 400 * 1000, BLOCKS = 8, LOST = 2000 };

struct node {
  struct node *left, *right;
  size_t filling[4];
};

static struct node *root;
static void **blocks[BLOCKS];
static int pipe_ends[2];

static void *wait_for_end(void *unused) {
  char byte;
  (void)unused;
  if (read(pipe_ends[0], &byte, 1) != 0) abort();
  return NULL;
}

static void build(void *unused) {
  (void)unused;
  struct node **all = malloc(NODES * sizeof *all);
  for (size_t i = 0; i < NODES; i++) all[i] = calloc(1, sizeof(struct node));
  for (size_t i = 0; i < NODES; i++) {
    // A tree whose nodes lie in another order than its levels.
    size_t at = i * 7919 % NODES, left = 2 * i + 1, right = 2 * i + 2;
    if (left < NODES) all[at]->left = all[left * 7919 % NODES];
    if (right < NODES) all[at]->right = all[right * 7919 % NODES];
  }
  root = all[0];
  free(all);
  // Large blocks full of pointers, and each with the only pointer to one more block at its end.
  for (size_t i = 0; i < BLOCKS; i++) {
    blocks[i] = malloc(1 << 20);
    for (size_t w = 0; w < (1 << 20) / sizeof(void *); w++) blocks[i][w] = root;
    blocks[i][(1 << 20) / sizeof(void *) - 1] = malloc(100);
  }
}

static void lose(void *unused) {
  (void)unused;
  struct node *list = NULL;
  for (size_t i = 0; i < LOST; i++) {
    struct node *next = calloc(1, sizeof *next);
    next->left = list;
    list = next;
  }
  use(list);
}

int main(int count, char **arguments) {
  (void)arguments;
  pthread_t threads[3];
  if (pipe(pipe_ends)) abort();
  for (int i = 0; count > 1 && i < 3; i++)
    if (pthread_create(&threads[i], NULL, wait_for_end, NULL)) abort();
  clean_call(build, NULL);
  clean_call(lose, NULL);
  return 0;
}
