// Blocks allocated by one thread and freed or grown by another keep their contents and come back to use; threads come and go meanwhile.
// FLAGS: -pthread
// EXPECT: clean
#include "support.h"
#include <pthread.h>

enum { SLOTS = 512, ROUNDS = 20000 };
static unsigned char *slots[SLOTS];
static size_t lengths[SLOTS];
static pthread_mutex_t locks[SLOTS];

static void *worker(void *argument) {
  unsigned state = (unsigned)(uintptr_t)argument * 2654435761u + 1;
  for (int round = 0; round < ROUNDS; round++) {
    state = state * 1664525u + 1013904223u;
    unsigned slot = state >> 23;
    size_t size = (state >> 8) % 3000 + 1;
    pthread_mutex_lock(&locks[slot]);
    unsigned char *block = slots[slot];
    for (size_t i = 0; i < lengths[slot]; i++) CHECK(block[i] == (unsigned char)(slot + i));
    if (state & 64) {
      free(block);
      block = (unsigned char *)malloc(size);
    } else {
      block = (unsigned char *)realloc(block, size);
    }
    CHECK(block != NULL);
    for (size_t i = 0; i < size; i++) block[i] = (unsigned char)(slot + i);
    slots[slot] = block;
    lengths[slot] = size;
    pthread_mutex_unlock(&locks[slot]);
  }
  return NULL;
}

int main(void) {
  pthread_t threads[4];
  for (int i = 0; i < SLOTS; i++) pthread_mutex_init(&locks[i], NULL);
  for (uintptr_t generation = 0; generation < 3; generation++) {
    for (uintptr_t i = 0; i < 4; i++)
      CHECK(pthread_create(&threads[i], NULL, worker, (void *)(generation * 4 + i)) == 0);
    for (int i = 0; i < 4; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  }
  for (int i = 0; i < SLOTS; i += 2) free(slots[i]);
  for (int i = 0; i < SLOTS; i += 2) slots[i] = NULL;
  return 0;
}
