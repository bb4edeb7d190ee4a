// A thread moves, frees and makes objects all the time: checks on snapshots call nothing leaked, and then find what is.
// FLAGS: -pthread
// REFERENCE: is not asked about snapshots
// EXPECT-WITH snapshot=1: leak 4242 bytes in 1 objects
// STDERR: a snapshot was scanned
#include "snapshot.h"
#include <pthread.h>

enum { LISTS = 8, OBJECTS = 2000 };
struct node {
  struct node *next;
  char bytes[56];
};
static struct node *lists[LISTS];
static volatile int ready, stop;

static void push(struct node **list, struct node *node) {
  node->next = *list;
  *list = node;
}

static struct node *pop(struct node **list) {
  struct node *node = *list;
  if (node != NULL) *list = node->next;
  return node;
}

static void *body(void *unused) {
  unsigned state = 1;
  for (int i = 0; i < OBJECTS; i++) push(&lists[i % LISTS], (struct node *)malloc(sizeof(struct node)));
  __atomic_store_n(&ready, 1, __ATOMIC_RELEASE);
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
    state = state * 1664525u + 1013904223u;
    struct node *node = pop(&lists[state >> 29]);
    if (state & 0x1000) {
      free(node);
      node = (struct node *)malloc(sizeof(struct node));
    }
    if (node != NULL) push(&lists[state >> 20 & 7], node);
  }
  for (int i = 0; i < LISTS; i++)
    for (struct node *node; (node = pop(&lists[i])) != NULL;) free(node);
  return unused;
}

int main(void) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, body, NULL) == 0);
  await(&ready);
  for (int i = 0; i < 50; i++) CHECK(!__lsan_do_recoverable_leak_check());
  hidden_malloc(4242);
  CHECK(__lsan_do_recoverable_leak_check());
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  CHECK(pthread_join(thread, NULL) == 0);
  return 0;
}
