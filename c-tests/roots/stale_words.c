// A word that is left behind in memory that nobody uses any more hides no leak: below a stack, in a freed or reused block, behind a block's end, on the stack of a thread that has ended.
// FLAGS: -pthread
// NOT-IN: musl: musl has no unwind information, so what its exit leaves on the stack counts
// REFERENCE: it takes some of these words for pointers
// EXPECT: leak 4242 bytes in 1 object
// ARGS: returned
// EXPECT: leak 4242 bytes in 1 object
// ARGS: handler
// EXPECT: leak 4242 bytes in 1 object
// ARGS: jumped
// EXPECT: leak 4242 bytes in 1 object
// ARGS: below_other
// EXPECT: leak 4242 bytes in 1 object
// ARGS: freed
// EXPECT: leak 4242 bytes in 1 object
// ARGS: freed_large
// EXPECT-WITH zero=1: leak 4242 bytes in 1 object
// ARGS: reused
// EXPECT: leak 4242 bytes in 1 object
// ARGS: shrunk
// EXPECT: leak 4242 bytes in 1 object
// ARGS: joined
// NOT-IN: static: there the list of cached stacks is among the program's own variables
// EXPECT: leak 4242 bytes in 1 object
// ARGS: detached
// NOT-IN: static: there the list of cached stacks is among the program's own variables
// EXPECT: leak 4242 bytes in 1 object
// ARGS: unmapped
#include "support.h"
#include <pthread.h>
#include <setjmp.h>
#include <sys/mman.h>

enum { LARGE = 3 << 20 };

static jmp_buf back;
static volatile int ready;
static void **volatile block;

/* Leaves the only pointer in a frame of its own, many times. */
static NOINLINE void leave_traces(void) {
  void *volatile dead[64];
  uintptr_t object = hidden_malloc(4242);
  for (int i = 0; i < 64; i++) dead[i] = unhide(object);
  use((void *)dead);
}

/* As above, below the frames of what its caller waits in. */
static NOINLINE void leave_deep_traces(void) {
  volatile char between[1024];
  between[0] = 0;
  leave_traces();
  use((void *)between);
}

static void leave_and_end(void) { leave_traces(); }

static NOINLINE void leave_and_jump(void) {
  leave_traces();
  longjmp(back, 1);
}

static void *leave_and_wait(void *unused) {
  leave_deep_traces();
  __atomic_store_n(&ready, 1, __ATOMIC_RELEASE);
  for (;;) pause();
  return unused;
}

static void *leave_and_return(void *unused) {
  leave_traces();
  __atomic_store_n(&ready, 1, __ATOMIC_RELEASE);
  return unused;
}

static void in_block(void *size) {
  block = (void **)calloc(1, (size_t)size);
  block[5] = malloc(4242);
}

int main(int count, char **arguments) {
  const char *what = count > 1 ? arguments[1] : "";
  pthread_t thread;
#define IS(name) (strcmp(what, name) == 0)
  if (IS("returned")) leave_traces();
  if (IS("handler")) CHECK(atexit(leave_and_end) == 0);
  if (IS("jumped") && setjmp(back) == 0) leave_and_jump();
  if (IS("below_other")) {
    CHECK(pthread_create(&thread, NULL, leave_and_wait, NULL) == 0);
    await(&ready);
  }
  if (IS("joined")) {
    CHECK(pthread_create(&thread, NULL, leave_and_return, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
  }
  if (IS("detached")) {
    CHECK(pthread_create(&thread, NULL, leave_and_return, NULL) == 0 && pthread_detach(thread) == 0);
    await(&ready);
    usleep(100000);
  }
  if (IS("freed") || IS("freed_large") || IS("reused") || IS("shrunk")) {
    size_t size = IS("freed_large") ? LARGE : IS("shrunk") ? 400 : 200;
    clean_call(in_block, (void *)size);
    if (IS("shrunk")) {
      block = (void **)realloc(block, 40);
    } else {
      free(block);
      block = IS("reused") ? (void **)malloc(size) : NULL;
    }
  }
  if (IS("unmapped")) {
    void **page = (void **)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK((void *)page != MAP_FAILED);
    page[9] = unhide(hidden_malloc(4242));
    CHECK(munmap(page, 4096) == 0);
  }
  exit(0);
}
