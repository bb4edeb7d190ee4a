// A heap object whose only pointer is in shared memory that a global variable points to is reachable, whatever the page table of this process has of that memory: another process or another mapping wrote it, its entries are gone, or it may only be read now.
// FLAGS: -pthread
// REFERENCE: it knows nothing of mappings
// EXPECT: clean
// EXPECT-WITH snapshot=1: clean
#include "support.h"
#include <pthread.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern int __lsan_do_recoverable_leak_check(void);

enum { BYTES = 1 << 16, WORD = 1000 };
/* Hidden, for each of the ways; the mappings themselves are in plain sight. */
static void *volatile *volatile places[8];
static int count;

static void fill(void *memory) {
  ((void *volatile *)memory)[WORD] = malloc(4242);
  places[count++] = memory;
}

static void *memfd(int *file) {
  *file = (int)syscall(SYS_memfd_create, "words", 0);
  CHECK(*file >= 0 && ftruncate(*file, BYTES) == 0);
  void *memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, *file, 0);
  CHECK(memory != MAP_FAILED);
  return memory;
}

static void build(void *unused) {
  (void)unused;
  int shared = MAP_SHARED | MAP_ANONYMOUS, file;
  /* Read by the child of a fork, which has no entry of it. */
  void *memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, shared, -1, 0);
  CHECK(memory != MAP_FAILED);
  fill(memory);
  /* The entries are gone, the pages are not. */
  memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, shared, -1, 0);
  CHECK(memory != MAP_FAILED);
  fill(memory);
  CHECK(madvise(memory, BYTES, MADV_DONTNEED) == 0);
  /* It may only be read, or not even that. */
  for (int protection = 0; protection < 2; protection++) {
    memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, shared, -1, 0);
    CHECK(memory != MAP_FAILED);
    fill(memory);
    CHECK(mprotect(memory, BYTES, protection ? PROT_READ : PROT_NONE) == 0);
  }
  /* Mapped anew. */
  memory = memfd(&file);
  fill(memory);
  CHECK(munmap(memory, BYTES) == 0);
  memory = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, file, 0);
  CHECK(memory != MAP_FAILED && close(file) == 0);
  places[count - 1] = memory;
  /* A private mapping of a memfd, whose page nobody changed. */
  memory = memfd(&file);
  fill(memory);
  CHECK(munmap(memory, BYTES) == 0);
  memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
  CHECK(memory != MAP_FAILED && close(file) == 0);
  places[count - 1] = memory;
  /* System V, attached anew. */
  int id = shmget(IPC_PRIVATE, BYTES, 0600);
  if (id >= 0) {
    memory = shmat(id, NULL, 0);
    CHECK(memory != (void *)-1);
    fill(memory);
    CHECK(shmdt(memory) == 0);
    memory = shmat(id, NULL, 0);
    CHECK(memory != (void *)-1 && shmctl(id, IPC_RMID, NULL) == 0);
    places[count - 1] = memory;
  }
}

static void *waits(void *unused) {
  pause();
  return unused;
}

int main(void) {
  clean_call(build, NULL);
  CHECK(__lsan_do_recoverable_leak_check() == 0);
  pid_t child = fork();
  if (child == 0) _exit(__lsan_do_recoverable_leak_check() == 0 ? 0 : 1);
  int status;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  /* Another thread: a snapshot may be made. */
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, waits, NULL) == 0);
  CHECK(__lsan_do_recoverable_leak_check() == 0);
  return 0;
}
