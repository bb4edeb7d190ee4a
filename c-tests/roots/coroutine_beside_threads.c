// A coroutine stack without a guard that lies between stacks of threads in one mapping: what only it holds is in use.
// FLAGS: -pthread
// NOT-IN: musl: musl has no makecontext
// REFERENCE: it knows nothing of mappings
// EXPECT: clean
#include "support.h"
#include <pthread.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { STACK = 256 << 10, STACKS = 9 };

static char *stacks;
static ucontext_t coroutine, caller;
static volatile int started;

static void *body(void *unused) {
  (void)unused;
  __atomic_fetch_add(&started, 1, __ATOMIC_RELEASE);
  for (;;) pause();
  return NULL;
}

static void run(void) {
  void *volatile only = malloc(4242);
  use((void *)&only);
  scrub();
  swapcontext(&coroutine, &caller);
  free(only);
}

static void build(void *unused) {
  (void)unused;
  CHECK(getcontext(&coroutine) == 0);
  coroutine.uc_stack.ss_sp = stacks + STACKS / 2 * STACK;
  coroutine.uc_stack.ss_size = STACK;
  coroutine.uc_link = &caller;
  makecontext(&coroutine, run, 0);
  CHECK(swapcontext(&caller, &coroutine) == 0);
}

int main(void) {
  stacks = (char *)mmap(NULL, STACKS * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  CHECK((void *)stacks != MAP_FAILED);
  for (int i = 0; i < STACKS; i++) {
    pthread_attr_t attributes;
    pthread_t thread;
    if (i == STACKS / 2) continue;
    CHECK(pthread_attr_init(&attributes) == 0);
    CHECK(pthread_attr_setstack(&attributes, stacks + i * STACK, STACK) == 0);
    CHECK(pthread_create(&thread, &attributes, body, NULL) == 0);
  }
  while (__atomic_load_n(&started, __ATOMIC_ACQUIRE) != STACKS - 1) usleep(1000);
  clean_call(build, NULL);
  return 0;
}
