// A heap object whose only pointer is in a callee-saved register of the thread that asks for the check is reachable.
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
// EXPECT: status 1
// ARGS: none
#include "support.h"

#if defined(__x86_64__)
extern int __lsan_do_recoverable_leak_check(void);
uintptr_t hidden;

/* The register holds the pointer during the call only; what it held before is kept on the stack. */
#define HOLDER(reg)                                                                                     \
  int check_with_##reg(void);                                                                           \
  __asm__(".text\n.type check_with_" #reg ", @function\ncheck_with_" #reg ":\n"                         \
          ".cfi_startproc\npushq %" #reg "\n.cfi_adjust_cfa_offset 8\n"                                 \
          "movq hidden(%rip), %" #reg "\nnotq %" #reg "\n"                                              \
          "call __lsan_do_recoverable_leak_check@PLT\n"                                                 \
          "popq %" #reg "\n.cfi_adjust_cfa_offset -8\nret\n.cfi_endproc\n");
HOLDER(rbx) HOLDER(rbp) HOLDER(r12) HOLDER(r13) HOLDER(r14) HOLDER(r15)

int main(int count, char **arguments) {
  static const struct {
    const char *name;
    int (*check)(void);
  } all[] = {{"rbx", check_with_rbx}, {"rbp", check_with_rbp}, {"r12", check_with_r12}, {"r13", check_with_r13},
             {"r14", check_with_r14}, {"r15", check_with_r15}, {"none", __lsan_do_recoverable_leak_check}};
  hidden = hidden_malloc(4242);
  for (unsigned i = 0; count == 2 && i < sizeof all / sizeof all[0]; i++)
    if (strcmp(arguments[1], all[i].name) == 0) {
      int leaks = all[i].check();
      free(unhide(hidden));
      return leaks;
    }
  return 99;
}
#else
int main(void) { skip("written for x86-64"); }
#endif
