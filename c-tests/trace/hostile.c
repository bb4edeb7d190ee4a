// Stacks taken again and again through longjmp, contexts, signals on other stacks, vfork, and code without unwind tables
// are what unwinding gives each time, and nothing crashes or hangs.
// FLAGS: -pthread
// EXPECT-WITH verify_stacks=1: clean
// STDERR: [0-9]{3,} call stacks: [1-9][0-9]* replayed whole, [1-9][0-9]* joined, .* 0 differences
// EXPECT: clean
// REFERENCE: it has no such option, and says nothing when clean
#include "support.h"
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>

enum { ROUNDS = 40 };

static NOINLINE int allocate(int size) {
  free(use(malloc((size_t)size)));
  free(use(calloc(1, (size_t)size)));
  return size + 1;
}

/* Frames of changing size and number, some of which find their end through the frame pointer only. */
static NOINLINE int descend(int depth, int path) {
  volatile char room[1 + (path & 3) * 40];
  room[0] = (char)depth;
  if (depth == 0) return allocate(16 + path) + room[0];
  return descend(depth - 1, path >> 1 | (path & 1) << 6) + 1;
}

static jmp_buf back;
static volatile int jumps_back = 1;

static NOINLINE void jump(int depth) {
  if (depth == 0) {
    allocate(7);
    if (jumps_back) longjmp(back, 1);
    return;
  }
  jump(depth - 1);
  allocate(8);
}

static void jumps(void) {
  for (volatile int i = 0; i < ROUNDS; i++) {
    if (setjmp(back) == 0) jump(i % 9);
    allocate(9 + i % 2);
  }
}

/* musl has no makecontext. */
#ifdef __GLIBC__
static ucontext_t here, there;

static void coroutine(void) {
  for (int i = 0;; i++) {
    descend(i % 40, i);
    swapcontext(&there, &here);
  }
}

/* The stack is at the same address each time, with another size, and gone in between. */
static void contexts(void) {
  char *area = mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(area != MAP_FAILED);
  for (int i = 0; i < ROUNDS; i++) {
    size_t size = (size_t)(16 + i % 5 * 16) << 10;
    char *stack = area + (512 << 10) - (i % 2 ? size : 64 << 10);
    CHECK(mmap(stack, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == stack);
    CHECK(getcontext(&there) == 0);
    there.uc_stack.ss_sp = stack;
    there.uc_stack.ss_size = size;
    there.uc_link = NULL;
    makecontext(&there, coroutine, 0);
    for (int k = 0; k < 3; k++) CHECK(swapcontext(&here, &there) == 0);
    CHECK(mmap(stack, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == stack);
  }
  munmap(area, 1 << 20);
}
#else
static void contexts(void) {}
#endif

static void on_signal(int signal) { descend(signal % 7, signal); }

static void signals(void) {
  static char room[64 << 10];
  stack_t stack = {.ss_sp = room, .ss_size = sizeof room};
  CHECK(sigaltstack(&stack, NULL) == 0);
  for (int i = 0; i < ROUNDS; i++) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = i % 2 ? SA_ONSTACK : 0};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    raise(SIGUSR1);
  }
  stack.ss_flags = SS_DISABLE;
  CHECK(sigaltstack(&stack, NULL) == 0);
}

static NOINLINE void spawn(void) {
  pid_t child = vfork();
  if (child == 0) {
    allocate(5);
    _exit(0);
  }
  CHECK(child > 0 && waitpid(child, NULL, 0) == child);
}

static void vforks(void) {
  for (int i = 0; i < 5; i++) {
    spawn();
    descend(i, i);
  }
}

/* Code made at run time, without unwind tables and frame pointer, and again with other frames at the same address. */
static void made_code(void) {
#if defined(__x86_64__)
  typedef int Call(int (*function)(int), int argument);
  unsigned char *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (code == MAP_FAILED) return;
  for (int i = 0; i < ROUNDS; i++) {
    /* sub $room, %rsp; mov %rdi, %rax; mov %esi, %edi; call *%rax; add $room, %rsp; ret */
    unsigned char room = (unsigned char)(8 + i % 3 * 16);
    unsigned char text[] = {0x48, 0x83, 0xec, room, 0x48, 0x89, 0xf8, 0x89, 0xf7, 0xff, 0xd0, 0x48, 0x83, 0xc4, room, 0xc3};
    memcpy(code, text, sizeof text);
    CHECK(((Call *)(uintptr_t)code)(allocate, 32) == 33);
  }
  munmap(code, 4096);
#endif
}

static void *all(void *unused) {
  for (int i = 0; i < ROUNDS; i++) descend(i, i * 5);
  made_code();
  return unused;
}

int main(void) {
  all(NULL);
  jumps();
  contexts();
  signals();
  vforks();
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, all, NULL) == 0);
  for (int i = 0; i < 4; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  return 0;
}
