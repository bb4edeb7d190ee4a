// The only pointer goes to and fro between shared memory and the stack of a thread: a snapshot has it where it was.
// FLAGS: -pthread
// REFERENCE: has no mappings in its graph
// EXPECT-WITH snapshot=1: clean
// STDERR: a snapshot was scanned
#include "snapshot.h"
#include <pthread.h>
#include <sys/mman.h>

static volatile int ready, stop;
static void *volatile *slot;

static void *body(void *unused) {
  void *volatile here = malloc(4242);
  __atomic_store_n(&ready, 1, __ATOMIC_RELEASE);
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
    *slot = here;
    here = NULL;
    for (volatile int i = 0; i < 3000; i++) {
    }
    here = *slot;
    *slot = NULL;
  }
  free(here);
  return unused;
}

int main(void) {
  pthread_t thread;
  slot = (void *volatile *)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(slot != MAP_FAILED);
  CHECK(pthread_create(&thread, NULL, body, NULL) == 0);
  await(&ready);
  for (int i = 0; i < 60; i++)
    if (__lsan_do_recoverable_leak_check()) return 1;
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  CHECK(pthread_join(thread, NULL) == 0);
  return 0;
}
