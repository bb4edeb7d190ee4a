// A heap object whose only pointer is on a coroutine stack of the program's own making, of which it keeps only the stack pointer, is reachable.
// REFERENCE: it knows nothing of mappings
// EXPECT: clean
#include "support.h"
#include <sys/mman.h>

#if defined(__x86_64__) || defined(__aarch64__)
void *saved_coroutine, *saved_caller;
void coroutine_enter(void *stack_pointer);
void coroutine_yield(void);
void coroutine_body(void);
#if defined(__x86_64__)
__asm__(
    ".text\n.type coroutine_enter, @function\ncoroutine_enter:\n"
    "pushq %rbx\npushq %rbp\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
    "movq %rsp, saved_caller(%rip)\nmovq %rdi, %rsp\ncall coroutine_body\nud2\n"
    ".type coroutine_yield, @function\ncoroutine_yield:\n"
    "pushq %rbx\npushq %rbp\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
    "movq %rsp, saved_coroutine(%rip)\nmovq saved_caller(%rip), %rsp\n"
    "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbp\npopq %rbx\nret\n");
#else
#define PUSH                                                                                            \
  "stp x29, x30, [sp, #-96]!\nstp x19, x20, [sp, #16]\nstp x21, x22, [sp, #32]\nstp x23, x24, [sp, #48]\n" \
  "stp x25, x26, [sp, #64]\nstp x27, x28, [sp, #80]\nmov x9, sp\n"
__asm__(
    ".text\n.type coroutine_enter, %function\ncoroutine_enter:\n" PUSH
    "adrp x10, saved_caller\nstr x9, [x10, :lo12:saved_caller]\nmov sp, x0\nbl coroutine_body\nbrk #1\n"
    ".type coroutine_yield, %function\ncoroutine_yield:\n" PUSH
    "adrp x10, saved_coroutine\nstr x9, [x10, :lo12:saved_coroutine]\n"
    "adrp x10, saved_caller\nldr x9, [x10, :lo12:saved_caller]\nmov sp, x9\n"
    "ldp x19, x20, [sp, #16]\nldp x21, x22, [sp, #32]\nldp x23, x24, [sp, #48]\nldp x25, x26, [sp, #64]\n"
    "ldp x27, x28, [sp, #80]\nldp x29, x30, [sp], #96\nret\n");
#endif

__attribute__((used)) void coroutine_body(void) {
  void *volatile root = unhide(hidden_malloc(4242));
  use((void *)&root);
  scrub();
  coroutine_yield();
  if (root != NULL) abort();
}

static void build(void *unused) {
  (void)unused;
  const size_t size = 1 << 19;
  char *stack = (char *)mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK((void *)stack != MAP_FAILED);
  coroutine_enter(stack + size);
}

int main(void) {
  clean_call(build, NULL);
  saved_caller = NULL;
  return 0;
}
#else
int main(void) { skip("written for x86-64"); }
#endif
