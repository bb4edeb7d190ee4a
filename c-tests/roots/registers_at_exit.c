// A heap object whose only pointer is in a callee-saved register of the thread that calls exit() is reachable.
// REFERENCE: exit() itself pushes them or not, as it was compiled; use_registers=0 does not touch what was pushed
// EXPECT: clean
// ARGS: rbx
// EXPECT: clean
// ARGS: rbp
// EXPECT: clean
// ARGS: r12
// EXPECT: clean
// ARGS: r13
// EXPECT: clean
// ARGS: r14
// EXPECT: clean
// ARGS: r15
// EXPECT: leak 4242 bytes in 1 object
// ARGS: none
// EXPECT-WITH use_registers=0: leak 4242 bytes in 1 object
// ARGS: rbx
// NOT-IN: musl: musl has no unwind information, so what its exit leaves on the stack counts
#include "support.h"

#if defined(__x86_64__)
uintptr_t hidden;

#define HOLDER(reg)                                                                 \
  void exit_with_##reg(int);                                                        \
  __asm__(".text\n.type exit_with_" #reg ", @function\nexit_with_" #reg ":\n"       \
          ".cfi_startproc\npushq %" #reg "\n.cfi_adjust_cfa_offset 8\n"             \
          "movq hidden(%rip), %" #reg "\nnotq %" #reg "\n"                          \
          "call exit@PLT\nud2\n.cfi_endproc\n");
HOLDER(rbx) HOLDER(rbp) HOLDER(r12) HOLDER(r13) HOLDER(r14) HOLDER(r15)

int main(int count, char **arguments) {
  static const struct {
    const char *name;
    void (*leave)(int);
  } all[] = {{"rbx", exit_with_rbx}, {"rbp", exit_with_rbp}, {"r12", exit_with_r12}, {"r13", exit_with_r13},
             {"r14", exit_with_r14}, {"r15", exit_with_r15}, {"none", exit}};
  hidden = hidden_malloc(4242);
  for (unsigned i = 0; count == 2 && i < sizeof all / sizeof all[0]; i++)
    if (strcmp(arguments[1], all[i].name) == 0) all[i].leave(0);
  return 99;
}
#else
int main(void) { skip("written for x86-64"); }
#endif
