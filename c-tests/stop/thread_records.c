// Fifty threads are stopped with the stack pointer, the TLS base and the registers that each wrote down itself, and what each holds is found.
// FLAGS: -pthread
// TIMEOUT: 60
// EXPECT: clean
// EXPECT-WITH use_stacks=0: leak 38850 bytes in 50 objects
// EXPECT: clean
// ARGS: signal
#include "support.h"

#include "standstill.h"
#include <pthread.h>
#include <sys/syscall.h>

/* The first few spin, with a mark in a register; the others wait. */
enum { THREADS = 50, SPINNING = 4 };
#define MARK ((uintptr_t)0x5eed5eed00000000)

struct own {
  int32_t tid;
  uintptr_t local, tls_base;
};
static struct own own[THREADS];
static int32_t threads, found, right_sp, right_end, right_tls, right_mark;
static volatile int ready;
static __thread void *volatile in_tls;

static uintptr_t thread_pointer(void) {
  uintptr_t pointer;
#if defined(__x86_64__)
  __asm__("mov %%fs:0, %0" : "=r"(pointer));
#elif defined(__aarch64__)
  __asm__("mrs %0, tpidr_el0" : "=r"(pointer));
#else
#error "how is the thread pointer read here?"
#endif
  return pointer;
}

static void spin(uintptr_t mark) {
#if defined(__x86_64__)
  __asm__ volatile("mov %0, %%r12\n1: pause\njmp 1b" : : "r"(mark) : "r12");
#else
  __asm__ volatile("mov x21, %0\n1: yield\nb 1b" : : "r"(mark) : "x21");
#endif
}

static void build(void *unused) {
  (void)unused;
  in_tls = malloc(2323);
}

static void *body(void *argument) {
  intptr_t self = (intptr_t)argument;
  void *volatile on_stack = unhide(hidden_malloc(777));
  clean_call(build, NULL);
  own[self].tid = (int32_t)syscall(SYS_gettid);
  own[self].local = (uintptr_t)&on_stack;
  own[self].tls_base = thread_pointer();
  scrub();
  __atomic_fetch_add(&ready, 1, __ATOMIC_RELEASE);
  if (self < SPINNING) spin(MARK + (uintptr_t)self);
  for (;;) pause();
  return on_stack;
}

static void look(const struct standstill_world *world, void *unused) {
  struct standstill_thread thread = STANDSTILL_THREAD_INIT;
  (void)unused;
  threads = (int32_t)standstill_thread_count(world);
  for (int i = 0; i < THREADS; i++) {
    if (standstill_thread_by_tid(world, own[i].tid, &thread) != STANDSTILL_DONE) continue;
    int marks = 0;
    for (size_t word = 0; word < thread.general_words; word++) marks += thread.general[word] == MARK + (uintptr_t)i;
    found++;
    /* pause(2) and libc's function around it take little. */
    right_sp += thread.stack_pointer <= own[i].local && own[i].local - thread.stack_pointer < 1024;
    right_end += thread.stack_end > own[i].local && thread.stack_end - own[i].local < 64 << 10;
    right_tls += thread.tls_base == own[i].tls_base;
    right_mark += i >= SPINNING || marks > 0;
  }
}

int main(int count, char **arguments) {
  (void)arguments;
  struct standstill_stop_options options = STANDSTILL_STOP_OPTIONS_INIT;
  pthread_attr_t attributes;
  CHECK(pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, 512 << 10) == 0);
  for (intptr_t i = 0; i < THREADS; i++) {
    pthread_t thread;
    CHECK(pthread_create(&thread, &attributes, body, (void *)i) == 0);
  }
  while (__atomic_load_n(&ready, __ATOMIC_ACQUIRE) < THREADS) usleep(1000);
  usleep(20000);
  options.flags = STANDSTILL_STOP_STACKS;
  options.means = count > 1 ? 2 : 0;
  CHECK(standstill_stop_the_world(&options, look, NULL) == STANDSTILL_DONE);
  CHECK(threads == THREADS + 1 && found == THREADS);
  CHECK(right_sp == THREADS);
  CHECK(right_end == THREADS);
  CHECK(right_tls == THREADS);
  CHECK(right_mark == THREADS);
  scrub();
  return 0;
}
