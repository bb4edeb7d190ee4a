// Of thirteen objects in use, each held from another odd place, two are called leaked, by a thread's hand too: what is XOR-ed and what lies in a pipe.
// FLAGS: -pthread -lrt
// REFERENCE: it reports eleven
// EXPECT-WITH pointer_mask=0xffffffffffff:use_unaligned=1:use_past_end=1: leak 2023 bytes in 2 objects
// STDERR: leak of 1011 byte.*
// STDERR: leak of 1012 byte.*
// EXPECT-WITH pointer_mask=0xffffffffffff:use_unaligned=1:use_past_end=1:report_possible=1: leak 2023 bytes in 2 objects
// ARGS: thread
// STDERR: Possible leak of 1008 byte
// STDERR: Possible leak of 1009 byte
// STDERR: Possible leak of 1010 byte
// EXPECT: leak 5050 bytes in 5 objects
// EXPECT: leak 5050 bytes in 5 objects
// ARGS: thread
#include "support.h"
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>

struct __attribute__((packed)) packed {
  char before;
  void *pointer;
};

static void **volatile anonymous, **volatile shared;
static void *volatile low_tag, *volatile past_end;
static volatile uintptr_t high_tag, xored;
struct packed packed;
static volatile int ready, set;

static void nothing(void *unused) { (void)unused; }

/* Objects 1001 to 1013 bytes long. */
static void build(void *unused) {
  (void)unused;
  anonymous = (void **)mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(anonymous != MAP_FAILED);
  anonymous[100] = malloc(1001);

  char name[] = "/tmp/thirteen_places.XXXXXX";
  int file = mkstemp(name);
  CHECK(file >= 0 && unlink(name) == 0 && ftruncate(file, 8192) == 0);
  shared = (void **)mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  CHECK(shared != MAP_FAILED && close(file) == 0);
  shared[100] = malloc(1002);

  int ends[2];
  struct epoll_event event;
  memset(&event, 0, sizeof event);
  event.data.ptr = malloc(1003);
  CHECK((set = epoll_create1(0)) >= 0 && pipe(ends) == 0 && epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &event) == 0);

  timer_t timer;
  struct sigevent expiry;
  memset(&expiry, 0, sizeof expiry);
  expiry.sigev_notify = SIGEV_SIGNAL;
  expiry.sigev_signo = SIGUSR1;
  expiry.sigev_value.sival_ptr = malloc(1004);
  CHECK(timer_create(CLOCK_MONOTONIC, &expiry, &timer) == 0);

  union sigval value;
  value.sival_ptr = malloc(1005);
  CHECK(sigqueue(getpid(), SIGUSR2, value) == 0);

  stack_t stack;
  memset(&stack, 0, sizeof stack);
  stack.ss_size = 65536;
  stack.ss_sp = malloc(stack.ss_size);
  CHECK(sigaltstack(&stack, NULL) == 0);

  low_tag = (char *)malloc(1007) + 3;
  high_tag = (uintptr_t)malloc(1008) | (uintptr_t)1 << 52;
  past_end = (char *)malloc(1009) + 1009;
  packed.pointer = malloc(1010);
  xored = (uintptr_t)malloc(1011) ^ (uintptr_t)0x5a5a5a5a5a5a5a5a;

  void *piped = malloc(1012);
  CHECK(pipe(ends) == 0 && write(ends[1], &piped, sizeof piped) == sizeof piped);
  piped = NULL;

  extern int __cxa_atexit(void (*)(void *), void *, void *);
  CHECK(__cxa_atexit(nothing, malloc(1013), NULL) == 0);
}

static void *body(void *builds) {
  if (builds) clean_call(build, NULL);
  __atomic_store_n(&ready, 1, __ATOMIC_RELEASE);
  for (;;) pause();
  return NULL;
}

int main(int count, char **arguments) {
  pthread_t thread;
  sigset_t kept;
  sigemptyset(&kept);
  sigaddset(&kept, SIGUSR2);
  CHECK(sigprocmask(SIG_BLOCK, &kept, NULL) == 0);
  CHECK(pthread_create(&thread, NULL, body, count > 1 ? arguments : NULL) == 0);
  await(&ready);
  if (count < 2) clean_call(build, NULL);
  return 0;
}
