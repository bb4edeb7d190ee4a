// What only a register of a thread holds that waits for its vfork child is not called a leak: such a check is incomplete.
// REFERENCE: hangs until the child ends
// FLAGS: -pthread
// EXPECT: status 0
// STDERR: Standstill: incomplete
// STDERR: wait for a vfork child
// STDERR-NOT: detected memory leaks
// EXPECT-WITH ptrace=0: status 0
// STDERR: Standstill: incomplete
// STDERR: waits for a vfork child
// STDERR-NOT: detected memory leaks
#include "support.h"
#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>

extern int __lsan_do_recoverable_leak_check(void);
uintptr_t hidden;
void *volatile back;
struct timespec seconds = {2, 0};
static volatile int ready, done;

static void *body(void *unused) {
  ready = 1;
#if defined(__x86_64__)
  __asm__ volatile(
      "movq hidden(%%rip), %%r12\n\tnotq %%r12\n\tmovl $58, %%eax\n\tsyscall\n\ttestl %%eax, %%eax\n\tjnz 1f\n\t"
      "xorl %%r12d, %%r12d\n\tleaq seconds(%%rip), %%rdi\n\txorl %%esi, %%esi\n\tmovl $35, %%eax\n\tsyscall\n\t"
      "movl $60, %%eax\n\txorl %%edi, %%edi\n\tsyscall\n1:\n\tmovq %%r12, back(%%rip)"
      :
      :
      : "rax", "rdi", "rsi", "rcx", "r11", "r12", "cc", "memory");
#endif
  done = 1;
  for (;;) pause();
  return unused;
}

int main(void) {
#if !defined(__x86_64__)
  skip("written for x86-64");
#endif
  pthread_t thread;
  hidden = hidden_malloc(4242);
  CHECK(pthread_create(&thread, NULL, body, NULL) == 0);
  await(&ready);
  usleep(100000);
  CHECK(__lsan_do_recoverable_leak_check() == 0);
  await(&done);
  return 0;
}
