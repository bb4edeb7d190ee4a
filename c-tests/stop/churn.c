// 50 threads that allocate, free, and come and go, while checks run one after another: no hang, no crash, no false leak.
// FLAGS: -pthread
// TIMEOUT: 600
// REFERENCE: reports what realloc has in hand
// EXPECT: clean
#include "support.h"
#include <pthread.h>

extern int __lsan_do_recoverable_leak_check(void);

/* The number of checks is the first argument or $CHURN_CHECKS; without either the test runs for $CHURN_SECONDS (3), and as long as it takes a starved machine to make one check and one thread. */
enum { THREADS = 50, SLOTS = 64 };
static volatile int stop;
static long births, operations;

struct node {
  struct node *next;
  unsigned char bytes[];
};

static void *body(void *argument) {
  struct node *slots[SLOTS] = {NULL};
  unsigned state = *(unsigned *)argument;
  free(argument);
  for (int round = 0; round < 2000 && !__atomic_load_n(&stop, __ATOMIC_RELAXED); round++) {
    state = state * 1664525u + 1013904223u;
    struct node **slot = &slots[state >> 26];
    size_t size = sizeof(struct node) + (state >> 10) % ((state & 0xf00) ? 300 : 100000);
    if (state & 128) {
      struct node *fresh = (struct node *)malloc(size);
      CHECK(fresh != NULL);
      fresh->next = *slot;
      *slot = fresh;
    } else if (state & 64 && *slot != NULL) {
      struct node *next = (*slot)->next;
      free(*slot);
      *slot = next;
    } else if (*slot != NULL) {
      *slot = (struct node *)realloc(*slot, size);
    }
  }
  __atomic_fetch_add(&operations, 2000, __ATOMIC_RELAXED);
  for (int i = 0; i < SLOTS; i++)
    while (slots[i] != NULL) {
      struct node *next = slots[i]->next;
      free(slots[i]);
      slots[i] = next;
    }
  return malloc(32);
}

static void *keeper(void *argument) {
  unsigned seed = (unsigned)(uintptr_t)argument;
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
    pthread_t thread;
    void *result;
    unsigned *mine = (unsigned *)malloc(sizeof *mine);
    *mine = seed++ * 2654435761u;
    CHECK(pthread_create(&thread, NULL, body, mine) == 0);
    CHECK(pthread_join(thread, &result) == 0);
    free(result);
    __atomic_fetch_add(&births, 1, __ATOMIC_RELAXED);
  }
  return NULL;
}

int main(int count, char **arguments) {
  const char *wanted = count > 1 ? arguments[1] : getenv("CHURN_CHECKS"), *seconds = getenv("CHURN_SECONDS");
  long most = wanted ? atol(wanted) : -1, checks = 0;
  uint64_t end = now_ns() + UINT64_C(1000000000) * (uint64_t)(seconds ? atol(seconds) : 3);
  pthread_t threads[THREADS / 2]; /* each with one thread of its own, come and gone: 50 at a time */
  for (uintptr_t i = 0; i < THREADS / 2; i++) CHECK(pthread_create(&threads[i], NULL, keeper, (void *)(i + 1)) == 0);
  while (most >= 0 ? checks < most : now_ns() < end || !checks || !__atomic_load_n(&births, __ATOMIC_RELAXED)) {
    if (__lsan_do_recoverable_leak_check()) return 1;
    checks++;
  }
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  for (int i = 0; i < THREADS / 2; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  fprintf(stderr, "%ld checks, %ld threads born, %ld operations\n", checks, births, operations);
  CHECK(births > 0 && checks > 0);
  return 0;
}
