// A pointer that only a vector register of a thread in a system call holds (inlined syscall) is never called a leak, in place and on a snapshot.
// FLAGS: -pthread
// REFERENCE: reachable there
// EXPECT: possible 4242 bytes in 1 object
// EXPECT-WITH snapshot=1: possible 4242 bytes in 1 object
// STDERR: a snapshot was scanned
// EXPECT-WITH use_registers=0: leak 4242 bytes in 1 object
// ARGS: leak
#include "support.h"
#include <pthread.h>

extern int __lsan_do_recoverable_leak_check(void);

uintptr_t hidden;
volatile int ready;
void wait_with_vector(void);
#if defined(__x86_64__)
/* pause(2) leaves all but rax, rcx and r11 alone. */
__asm__(
    ".text\n.type wait_with_vector, @function\nwait_with_vector:\n"
    "movq hidden(%rip), %rax\nnotq %rax\nmovq %rax, %xmm9\nxorl %eax, %eax\nmovl $1, ready(%rip)\n"
    "1: movl $34, %eax\nsyscall\njmp 1b\n");
#elif defined(__aarch64__)
/* ppoll(2) of nothing leaves v5 alone. */
__asm__(
    ".text\n.type wait_with_vector, %function\nwait_with_vector:\n"
    "adrp x0, hidden\nldr x0, [x0, :lo12:hidden]\nmvn x0, x0\nmovi v5.2d, #0\nmov v5.d[1], x0\n"
    "adrp x16, ready\nmov w17, #1\nstr w17, [x16, :lo12:ready]\n"
    "1: mov x0, xzr\nmov x1, xzr\nmov x2, xzr\nmov x3, xzr\nmov x4, #8\nmov x8, #73\nsvc #0\nb 1b\n");
#else
#error "how does a system call leave a vector register alone here?"
#endif

static void *holder(void *unused) {
  wait_with_vector();
  return unused;
}

int main(int count, char **arguments) {
  pthread_t thread;
  hidden = hidden_malloc(4242);
  CHECK(pthread_create(&thread, NULL, holder, NULL) == 0);
  await(&ready);
  usleep(20000);
  /* Calls only what is possible no leak; the check at exit says what it is. */
  CHECK(__lsan_do_recoverable_leak_check() == (count > 1));
  (void)arguments;
  return 0;
}
