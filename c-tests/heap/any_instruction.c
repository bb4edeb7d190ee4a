// At whatever instruction of malloc, calloc, realloc or free a thread is stopped, what it has in hand is no leak, nor what that holds.
// FLAGS: -pthread
// TIMEOUT: 120
// REFERENCE: blocks in transit are not known to it
// EXPECT: clean
// ARGS: 97
// STDOUT: [0-9]{3,} stops in [0-9]{4,} (instructions|calls)
// EXPECT: clean
// ARGS: 491 cold
// STDOUT: [0-9]{3,} stops in [0-9]{4,} instructions
// NOT-IN: aarch64: the trap flag is x86-64's
//
// The first argument says how many instructions lie between two stops: 1 takes minutes. Paths that a thread takes only
// once are in the run with a second argument. Where no flag of the CPU stops a thread after each instruction, the thread
// calls without end, and stops come when they come.
#include "support.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <ucontext.h>

extern int __lsan_do_recoverable_leak_check(void);

enum { LARGE = 3 << 20 };

static void **volatile held;
static volatile int is_done;

#if defined(__x86_64__)
static volatile int stride, instructions, asked, answered;

/* The thread waits in here at every instruction until another one has checked. Its registers lie on its stack. */
static void on_step(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)info, (void)context;
  if (++instructions % stride != 0) return;
  int turn = asked + 1;
  __atomic_store_n(&asked, turn, __ATOMIC_RELEASE);
  while (__atomic_load_n(&answered, __ATOMIC_ACQUIRE) != turn) sched_yield();
}

static inline void trace(int on) {
  /* The red zone is not ours to push to. */
  if (on)
    __asm__ volatile("leaq -128(%%rsp), %%rsp\npushfq\norq $256, (%%rsp)\npopfq\nleaq 128(%%rsp), %%rsp" ::: "memory", "cc");
  else
    __asm__ volatile("leaq -128(%%rsp), %%rsp\npushfq\nandq $-257, (%%rsp)\npopfq\nleaq 128(%%rsp), %%rsp" ::: "memory", "cc");
}

#else
static void trace(int on) { (void)on; }
#endif

static NOINLINE void *take(void) {
  void *block = held;
  held = NULL;
  return block;
}

/* A block is held from nowhere else while a call has it, and the second is held by nothing but the first. */
static NOINLINE void calls(int traced, size_t large) {
  static void *volatile small[40];
  if (traced) trace(1);
  held = malloc(100);
  held[3] = malloc(40);
  held = realloc(take(), 108);
  held = realloc(take(), 4000);
  held = realloc(take(), large);
  held = realloc(take(), 2 * large);
  held = realloc(take(), 200);
  void *second = held[3];
  held[3] = calloc(3, 100);
  free(second);
  second = held[3];
  free(take());
  free(second);
  held = malloc(large);
  free(take());
  /* Enough to fill and empty what a thread keeps in store. */
  for (int i = 0; i < 40; i++) small[i] = malloc(1500);
  for (int i = 0; i < 40; i++) {
    void *block = small[i];
    small[i] = NULL;
    free(block);
  }
  if (traced) trace(0);
}

#if defined(__x86_64__)
static void *body(void *cold) {
  /* More than 64 stacks, so that the traced ones are remembered, and each the last of its place: then calls go the short way. */
  for (int i = 0; i < 4 && !cold; i++) calls(0, i ? 6000 : LARGE);
  calls(1, LARGE);
  __atomic_store_n(&is_done, 1, __ATOMIC_RELEASE);
  return NULL;
}

int main(int count, char **arguments) {
  stride = count > 1 ? atoi(arguments[1]) : 1;
  struct sigaction action;
  pthread_t thread;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_step;
  action.sa_flags = SA_SIGINFO;
  CHECK(sigaction(SIGTRAP, &action, NULL) == 0);
  CHECK(pthread_create(&thread, NULL, body, count > 2 ? arguments : NULL) == 0);
  while (!__atomic_load_n(&is_done, __ATOMIC_ACQUIRE)) {
    int turn = __atomic_load_n(&asked, __ATOMIC_ACQUIRE);
    if (turn == answered) {
      sched_yield();
      continue;
    }
    if (__lsan_do_recoverable_leak_check()) {
      printf("at instruction %d\n", instructions);
      return 1;
    }
    __atomic_store_n(&answered, turn, __ATOMIC_RELEASE);
  }
  CHECK(pthread_join(thread, NULL) == 0);
  printf("%d stops in %d instructions\n", answered, instructions);
  return 0;
}
#else
/* Each round makes so many. */
enum { CALLS = 93, STOPS = 120 };
static volatile int rounds;

static void *body(void *unused) {
  /* Copying large blocks would take most of the time. */
  while (!is_done) calls(0, rounds++ % 32 == 0 ? LARGE : 6000);
  return unused;
}

int main(void) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, body, NULL) == 0);
  for (int i = 0; i < STOPS; i++) {
    int begun = rounds;
    while (rounds == begun) sched_yield();
    if (__lsan_do_recoverable_leak_check()) {
      printf("at stop %d\n", i);
      return 1;
    }
  }
  is_done = 1;
  CHECK(pthread_join(thread, NULL) == 0);
  printf("%d stops in %d calls\n", STOPS, rounds * CALLS);
  return 0;
}
#endif
