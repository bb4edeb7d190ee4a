// Each way of holding an object is told apart: variable, thread-local, thread-specific, region, mapping, kernel, ignored.
// FLAGS: -pthread
// NOT-IN: static: there values of pthread keys count as thread-local storage
// NOT-IN: musl: there values of pthread keys count as thread-local storage
// EXPECT: clean
#include "support.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#include <standstill.h>

static void *volatile global;
static __thread void *volatile local;
static pthread_key_t key;
static void *volatile *mapping;
static void *volatile *region;
static uintptr_t hidden_region, hidden[8];

static uintptr_t make(void *volatile *where) {
  void *object = malloc(64);
  if (where) *where = object;
  return hide(object);
}

static void build(void *unused) {
  (void)unused;
  hidden[0] = make(&global);
  hidden[1] = make(&local);
  CHECK(pthread_key_create(&key, NULL) == 0);
  hidden[2] = make(NULL);
  CHECK(pthread_setspecific(key, unhide(hidden[2])) == 0);
  mapping = (void *volatile *)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(mapping != MAP_FAILED);
  hidden[3] = make(&mapping[7]);
  region = (void *volatile *)malloc(4096);
  hidden[4] = make(&region[9]);
  standstill_register_root_region((void *)(region + 8), 64);
  hidden_region = hide((void *)region);
  region = NULL;
  int epoll = epoll_create1(0), ends[2];
  CHECK(epoll >= 0 && pipe(ends) == 0);
  hidden[5] = make(NULL);
  struct epoll_event event;
  event.events = EPOLLIN;
  event.data.ptr = unhide(hidden[5]);
  CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event) == 0);
  standstill_disable();
  hidden[6] = make(NULL);
  standstill_enable();
}

static struct standstill_step steps[8];
static struct standstill_chain chain = STANDSTILL_CHAIN_INIT(steps, 8);

/* Whether one of the words that point to an object is held so. */
static int held_by(uintptr_t object, uint32_t holder) {
  CHECK(standstill_referrers(unhide(object), &chain) == STANDSTILL_CLEAN);
  for (size_t i = 0; i < chain.count && i < 8; i++)
    if (steps[i].holder == holder) return 1;
  return 0;
}

int main(void) {
  clean_call(build, NULL);
  CHECK(held_by(hidden[0], STANDSTILL_GLOBAL));
  CHECK(held_by(hidden[1], STANDSTILL_THREAD_LOCAL));
  CHECK(held_by(hidden[2], STANDSTILL_THREAD_SPECIFIC));
  CHECK(held_by(hidden[3], STANDSTILL_MAPPING));
  CHECK(held_by(hidden[4], STANDSTILL_ROOT_REGION));
  CHECK(held_by(hidden[5], STANDSTILL_KERNEL));
  scrub();
  CHECK(standstill_explain(unhide(hidden[6]), &chain) == STANDSTILL_CLEAN);
  CHECK(steps[0].holder == STANDSTILL_IGNORED || steps[0].holder == STANDSTILL_STACK || steps[0].holder == STANDSTILL_REGISTER);
  // The region's chunk is held by nothing but what is in this function.
  region = (void *volatile *)unhide(hidden_region);
  return 0;
}
