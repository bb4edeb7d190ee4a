/* A thread that spins with the only pointer to a block in a register that a call keeps: what `hidden` hides. */
#include "support.h"

uintptr_t hidden;
volatile int ready;
void spin_with_pointer(void);
#if defined(__x86_64__)
__asm__(
    ".text\n.type spin_with_pointer, @function\nspin_with_pointer:\n"
    "movq hidden(%rip), %r12\nnotq %r12\nmovl $1, ready(%rip)\n"
    "1: pause\njmp 1b\n");
#elif defined(__aarch64__)
__asm__(
    ".text\n.type spin_with_pointer, %function\nspin_with_pointer:\n"
    "adrp x19, hidden\nldr x19, [x19, :lo12:hidden]\nmvn x19, x19\n"
    "adrp x16, ready\nmov w17, #1\nstr w17, [x16, :lo12:ready]\n"
    "1: yield\nb 1b\n");
#else
#error "how does a thread spin here with a pointer in a register?"
#endif
