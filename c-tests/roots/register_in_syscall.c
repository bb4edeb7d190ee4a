// A pointer that only a caller-saved register of a thread in a system call holds (inlined syscall) is never called a leak.
// FLAGS: -pthread
// REFERENCE: reachable there
// EXPECT: possible 4242 bytes in 1 object
#include "support.h"
#include <pthread.h>

#if defined(__x86_64__)
uintptr_t hidden;
volatile int ready;
void wait_with_rdi(void);
/* pause(2) leaves rdi alone. */
__asm__(
    ".text\n.type wait_with_rdi, @function\nwait_with_rdi:\n"
    "movq hidden(%rip), %rdi\nnotq %rdi\nmovl $1, ready(%rip)\n"
    "1: movl $34, %eax\nsyscall\njmp 1b\n");

static void *holder(void *unused) {
  wait_with_rdi();
  return unused;
}

int main(void) {
  pthread_t thread;
  hidden = hidden_malloc(4242);
  CHECK(pthread_create(&thread, NULL, holder, NULL) == 0);
  await(&ready);
  usleep(20000);
  return 0;
}
#else
int main(void) { skip("written for x86-64"); }
#endif
