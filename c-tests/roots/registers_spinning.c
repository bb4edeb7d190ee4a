// A heap object whose only pointer is in a register of a spinning thread is reachable, whatever the class of register.
// FLAGS: -pthread
// EXPECT: clean
// ARGS: rax
// EXPECT: clean
// ARGS: rcx
// EXPECT: clean
// ARGS: rdx
// EXPECT: clean
// ARGS: rbx
// EXPECT: clean
// ARGS: rbp
// EXPECT: clean
// ARGS: rsi
// EXPECT: clean
// ARGS: rdi
// EXPECT: clean
// ARGS: r8
// EXPECT: clean
// ARGS: r9
// EXPECT: clean
// ARGS: r10
// EXPECT: clean
// ARGS: r11
// EXPECT: clean
// ARGS: r12
// EXPECT: clean
// ARGS: r13
// EXPECT: clean
// ARGS: r14
// EXPECT: clean
// ARGS: r15
// EXPECT: clean
// ARGS: xmm0
// EXPECT: clean
// ARGS: xmm15
// EXPECT: clean
// ARGS: ymm3
// EXPECT: clean
// ARGS: zmm5
// EXPECT: clean
// ARGS: zmm31
// EXPECT: clean
// ARGS: k3
// EXPECT: clean
// ARGS: mm0
// EXPECT: clean
// ARGS: mm7
// EXPECT: clean
// ARGS: gs_base
// EXPECT: leak 4242 bytes in 1 object
// ARGS: none
// EXPECT-WITH use_registers=0: leak 4242 bytes in 1 object
// ARGS: rax
// EXPECT-WITH use_registers=0: leak 4242 bytes in 1 object
// ARGS: r12
// EXPECT-WITH use_registers=0: leak 4242 bytes in 1 object
// ARGS: xmm0
// EXPECT-WITH use_registers=0: leak 4242 bytes in 1 object
// ARGS: ymm3
// EXPECT-WITH use_registers=0: leak 4242 bytes in 1 object
// ARGS: mm0
#include "support.h"

#if defined(__x86_64__)
#include <pthread.h>
#include <sys/syscall.h>

uintptr_t hidden;
volatile int ready;

/* `load` moves the pointer from rax to its place; then every other general register is emptied and the thread spins. */
#define SPINNER(name, load, clear)                                                                              \
  void spin_##name(void);                                                                                       \
  __asm__(".text\n.type spin_" #name ", @function\nspin_" #name ":\n"                                           \
          "movq hidden(%rip), %rax\nnotq %rax\n" load "\n" clear "\n"                                           \
          "movl $1, ready(%rip)\n1: pause\njmp 1b\n");
#define GENERAL(reg) SPINNER(reg, "movq %rax, %" #reg, "xorl %eax, %eax")
#define EMPTY "xorl %eax, %eax"
SPINNER(none, "", EMPTY)
SPINNER(rax, "", "")
GENERAL(rcx) GENERAL(rdx) GENERAL(rbx) GENERAL(rbp) GENERAL(rsi) GENERAL(rdi) GENERAL(r8) GENERAL(r9) GENERAL(r10)
GENERAL(r11) GENERAL(r12) GENERAL(r13) GENERAL(r14) GENERAL(r15)
SPINNER(xmm0, "movq %rax, %xmm0\npslldq $8, %xmm0", EMPTY)
SPINNER(xmm15, "movq %rax, %xmm15", EMPTY)
SPINNER(ymm3, "movq %rax, %xmm1\nvperm2f128 $0x03, %ymm1, %ymm1, %ymm3\npxor %xmm1, %xmm1", EMPTY)
SPINNER(zmm5, "vpbroadcastq %rax, %zmm5\nvextracti64x4 $0, %zmm5, %ymm6\nvpxorq %ymm6, %ymm6, %ymm6\n"
              "vinserti64x4 $0, %ymm6, %zmm5, %zmm5", EMPTY)
SPINNER(zmm31, "vpbroadcastq %rax, %zmm31", EMPTY)
SPINNER(k3, "kmovq %rax, %k3", EMPTY)
SPINNER(mm0, "movq %rax, %mm0", EMPTY)
SPINNER(mm7, "movq %rax, %mm7", EMPTY)
SPINNER(gs_base, "movq %rax, %rsi\nmovl $0x1001, %edi\nmovl $158, %eax\nsyscall\nxorl %esi, %esi\nxorl %edi, %edi", EMPTY)

#define ROW(name) {#name, spin_##name}
static const struct {
  const char *name;
  void (*spin)(void);
} all[] = {ROW(none), ROW(rax), ROW(rcx), ROW(rdx), ROW(rbx), ROW(rbp), ROW(rsi), ROW(rdi), ROW(r8),
           ROW(r9), ROW(r10), ROW(r11), ROW(r12), ROW(r13), ROW(r14), ROW(r15), ROW(xmm0), ROW(xmm15),
           ROW(ymm3), ROW(zmm5), ROW(zmm31), ROW(k3), ROW(mm0), ROW(mm7), ROW(gs_base)};
static unsigned chosen;

static void *holder(void *unused) {
  all[chosen].spin();
  return unused;
}

int main(int count, char **arguments) {
  CHECK(count == 2);
  while (strcmp(arguments[1], all[chosen].name) != 0) CHECK(++chosen < sizeof all / sizeof all[0]);
  if (all[chosen].name[0] == 'y' && !__builtin_cpu_supports("avx")) return 0;
  if ((all[chosen].name[0] == 'z' || all[chosen].name[0] == 'k') && !__builtin_cpu_supports("avx512bw")) return 0;
  pthread_t thread;
  hidden = hidden_malloc(4242);
  CHECK(pthread_create(&thread, NULL, holder, NULL) == 0);
  await(&ready);
  return 0;
}
#else
int main(void) { skip("written for x86-64"); }
#endif
