// A heap object whose only pointer is in the red zone of a leaf function (below its stack pointer) is reachable.
// FLAGS: -pthread
// REFERENCE: it scans from the stack pointer up
// EXPECT: clean
// EXPECT-WITH use_stacks=0: leak 4242 bytes in 1 object
#include "support.h"
#include <pthread.h>

#if defined(__x86_64__)
uintptr_t hidden;
volatile int ready;
void spin_with_red_zone(void);
__asm__(
    ".text\n.type spin_with_red_zone, @function\nspin_with_red_zone:\n"
    "movq hidden(%rip), %rax\nnotq %rax\n"
    "movq %rax, -120(%rsp)\n"
    "xorl %eax, %eax\n"
    "movl $1, ready(%rip)\n"
    "1: pause\njmp 1b\n");

static void *holder(void *unused) {
  spin_with_red_zone();
  return unused;
}

int main(void) {
  pthread_t thread;
  hidden = hidden_malloc(4242);
  CHECK(pthread_create(&thread, NULL, holder, NULL) == 0);
  await(&ready);
  return 0;
}
#else
int main(void) { skip("this CPU's ABI has no red zone"); }
#endif
