// A call in which a thread slept, and which it has left by a jump, by the change of its context, by a cancellation or by its
// end, says no more where its stack ends: what only dead frames hold is leaked.
// FLAGS: -pthread
// TIMEOUT: 60
// NOT-IN: musl: musl has no makecontext
// EXPECT: leak 4242 bytes in 1 object
// ARGS: siglongjmp
// EXPECT: leak 4242 bytes in 1 object
// ARGS: longjmp
// EXPECT: leak 4242 bytes in 1 object
// ARGS: _longjmp
// EXPECT: leak 4242 bytes in 1 object
// ARGS: setcontext
// EXPECT: leak 4242 bytes in 1 object
// ARGS: swapcontext
// EXPECT: leak 4242 bytes in 1 object
// ARGS: cancel
// EXPECT: leak 4242 bytes in 1 object
// ARGS: pthread_exit
// EXPECT: clean
// ARGS: nothing
// STDERR: none was stopped
// NOT-IN: static: in a static program it is not found
#include "asleep.h"
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>

enum { THREADS = 100 };

static const char *how;
static volatile int ready, left;
static sem_t semaphore;
static __thread jmp_buf place;
static __thread sigjmp_buf place_and_mask;
static __thread ucontext_t here, there;

#define IS(name) (strcmp(how, name) == 0)

static void leave(int signal) {
  (void)signal;
  if (IS("siglongjmp")) siglongjmp(place_and_mask, 1);
  if (IS("longjmp")) longjmp(place, 1);
  if (IS("_longjmp")) _longjmp(place, 1);
  if (IS("setcontext")) setcontext(&here);
  if (IS("swapcontext")) swapcontext(&there, &here);
  if (IS("pthread_exit")) pthread_exit(NULL);
}

/* Sleeps in a call that nothing stands before. */
static void sleep_for_ever(void *unused) {
  static int word;
  (void)unused;
  __atomic_fetch_add(&left, 1, __ATOMIC_RELEASE);
  for (;;) {
#ifdef __x86_64__
    long result = SYS_futex;
    register long timeout __asm__("r10") = 0;
    __asm__ volatile("syscall" : "+a"(result) : "D"(&word), "S"(0L), "d"(0L), "r"(timeout) : "rcx", "r11", "memory");
#else
    syscall(SYS_futex, &word, 0, 0, NULL, NULL, 0);
#endif
  }
}

/* The only pointer lies in a frame that ends without a return, deep enough to be no red zone of who sleeps there next. */
static NOINLINE void sleep_deep(void *number) {
  void *volatile frame[256];
  uintptr_t object = number ? 0 : hidden_malloc(4242);
  for (int i = 0; i < 256; i++) frame[i] = number || i > 128 ? NULL : unhide(object);
  object = 0;
  use((void *)frame);
  __atomic_fetch_add(&ready, 1, __ATOMIC_RELEASE);
  while (sem_wait(&semaphore) != 0) {}
  use((void *)frame);
}

static NOINLINE void sleep_and_leave(void *number) {
  volatile int again = 0;
  if (IS("siglongjmp")) {
    if (sigsetjmp(place_and_mask, 1) == 0) sleep_deep(number);
  } else if (IS("longjmp") || IS("_longjmp")) {
    if (setjmp(place) == 0) sleep_deep(number);
  } else {
    CHECK(getcontext(&here) == 0);
    if (again++ == 0) sleep_deep(number);
  }
}

static void *body(void *number) {
  free(use(malloc(100))); /* a thread that never allocates is not noted */
  if (IS("cancel") || IS("pthread_exit")) {
    pthread_cleanup_push(sleep_for_ever, NULL);
    sleep_deep(number);
    pthread_cleanup_pop(0);
  } else {
    sleep_and_leave(number);
    sleep_for_ever(NULL);
  }
  return number;
}

static void await_count(volatile int *count) {
  while (__atomic_load_n(count, __ATOMIC_ACQUIRE) < THREADS) usleep(1000);
  await_sleep(THREADS);
}

int main(int count, char **arguments) {
  struct sigaction action = {.sa_handler = leave};
  static pthread_t threads[THREADS];
  pthread_attr_t attributes;
  how = count > 1 ? arguments[1] : "longjmp";
  take_few_cpus();
  CHECK(sem_init(&semaphore, 0, 0) == 0);
  CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
  CHECK(pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, 512 << 10) == 0);
  for (int i = 0; i < THREADS; i++)
    CHECK(pthread_create(&threads[i], &attributes, body, (void *)(uintptr_t)i) == 0);
  await_count(&ready);
  /* Nobody leaves: then no thread is stopped, and what is in the frame is in use. */
  if (IS("nothing")) exit(0);
  for (int i = 0; i < THREADS; i++)
    CHECK((IS("cancel") ? pthread_cancel(threads[i]) : pthread_kill(threads[i], SIGUSR1)) == 0);
  await_count(&left);
  scrub();
  exit(0);
}
