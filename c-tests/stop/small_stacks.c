// Checks, thread dumps and questions are asked for on stacks of two pages: by a coroutine, by a small thread, by a handler on an alternate stack, and by a small thread that calls exit.
// FLAGS: -pthread
// REFERENCE: crashes on a small stack
// EXPECT: direct 4242 bytes in 1 object, indirect 0 bytes in 0 objects
#include "standstill.h"
#include "support.h"
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#ifdef __GLIBC__
#include <ucontext.h>
#endif

extern int __lsan_do_recoverable_leak_check(void);

enum { STACK = 8 << 10 };

static void *volatile kept;
static int nowhere;
static volatile int asked;

static void ask_all(void) {
  CHECK(!__lsan_do_recoverable_leak_check());
  CHECK(standstill_dump_threads(nowhere) == STANDSTILL_DONE);
  CHECK(standstill_explain(kept, NULL) == STANDSTILL_CLEAN);
  asked++;
}

/* Two pages above one that cannot be touched. */
static char *small_stack(size_t bytes) {
  char *base = mmap(NULL, PAGE + bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(base != MAP_FAILED && !mprotect(base, PAGE, PROT_NONE));
  return base + PAGE;
}

static void *asks(void *unused) {
  ask_all();
  return unused;
}

static void *ends(void *unused) {
  (void)unused;
  exit(0);
}

static void small_thread(void *(*body)(void *)) {
  /* Thread-local storage and the C library's own descriptor of a thread are on it too; musl's 2 KiB are for no call at all. */
  size_t bytes = PTHREAD_STACK_MIN > (16 << 10) ? PTHREAD_STACK_MIN : 16 << 10;
  pthread_attr_t attributes;
  pthread_t thread;
  CHECK(!pthread_attr_init(&attributes) && !pthread_attr_setstack(&attributes, small_stack(bytes), bytes));
  CHECK(!pthread_create(&thread, &attributes, body, NULL) && !pthread_join(thread, NULL));
}

static void on_signal(int signal) {
  (void)signal;
  ask_all();
}

static void in_handler(void) {
#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif
  size_t frame = getauxval(AT_MINSIGSTKSZ) ? getauxval(AT_MINSIGSTKSZ) : 2048;
  size_t bytes = (frame + STACK / 2 + 4095) & ~(size_t)4095;
  stack_t alternate = {.ss_sp = small_stack(bytes), .ss_size = bytes};
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
  CHECK(!sigaltstack(&alternate, NULL) && !sigaction(SIGUSR1, &action, NULL) && !raise(SIGUSR1));
}

#ifdef __GLIBC__
static ucontext_t home, away;
static void in_coroutine(void) {
  CHECK(!getcontext(&away));
  away.uc_stack.ss_sp = small_stack(STACK);
  away.uc_stack.ss_size = STACK;
  away.uc_link = &home;
  makecontext(&away, ask_all, 0);
  CHECK(!swapcontext(&home, &away));
}
#else
static void in_coroutine(void) { ask_all(); }
#endif

static void lose(void *unused) {
  (void)unused;
  use(malloc(4242));
}

int main(void) {
  nowhere = open("/dev/null", O_WRONLY);
  CHECK(nowhere >= 0);
  kept = malloc(100);
  in_coroutine();
  in_handler();
  small_thread(asks);
  CHECK(asked == 3);
  clean_call(lose, NULL);
  small_thread(ends);
  return 1;
}
