// Threads that allocate under locks of libc (stdio) and a thread that forks, for which libc takes those locks, do not wait for each other.
// FLAGS: -pthread
// TIMEOUT: 120
// EXPECT: clean
#include "support.h"
#include <pthread.h>
#include <sys/wait.h>

static volatile int stop;
static FILE *file;

static void spread(unsigned seed) {
  void *blocks[200];
  for (int i = 0; i < 200; i++) blocks[i] = use(malloc(1 + (seed = seed * 1103515245u + 12345u) % 6000));
  for (int i = 0; i < 200; i++) free(blocks[i]);
}

/* Allocates with a stream locked. */
static void *streams(void *seed) {
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
    flockfile(file);
    spread((unsigned)(uintptr_t)seed);
    funlockfile(file);
    usleep(200); /* the lock is not fair */
  }
  return NULL;
}

/* Waits for each stream with the list of all streams locked, for which fork waits. */
static void *flushes(void *unused) {
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) fflush(NULL), usleep(50);
  return unused;
}

static void *allocates(void *seed) {
  spread((unsigned)(uintptr_t)seed);
  return NULL;
}

int main(void) {
  pthread_t threads[3];
  file = fopen("/dev/null", "w");
  CHECK(file);
  for (uintptr_t i = 0; i < 3; i++)
    CHECK(pthread_create(&threads[i], NULL, i ? streams : flushes, (void *)i) == 0);
  for (int i = 0; i < repeats(60); i++) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      spread((unsigned)i);
      pthread_t thread;
      CHECK(pthread_create(&thread, NULL, allocates, (void *)(uintptr_t)i) == 0);
      spread((unsigned)i + 1);
      CHECK(pthread_join(thread, NULL) == 0);
      _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
  }
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  for (int i = 0; i < 3; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  return 0;
}
