/* What the C tests share: see support.h. */
#include "support.h"

#include <time.h>

#if defined(__x86_64__)
/* The callee starts with empty callee-saved registers, so that nothing it pushes is worth finding; afterwards the stack
 * that it used (and the red zone) and the caller-saved registers are cleared. */
__asm__(
    ".text\n"
    ".globl clean_call\n"
    ".type clean_call, @function\n"
    "clean_call:\n"
    ".cfi_startproc\n"
    "endbr64\n"
    "pushq %rbp\n.cfi_adjust_cfa_offset 8\n.cfi_rel_offset %rbp, 0\n"
    "pushq %rbx\n.cfi_adjust_cfa_offset 8\n.cfi_rel_offset %rbx, 0\n"
    "pushq %r12\n.cfi_adjust_cfa_offset 8\n.cfi_rel_offset %r12, 0\n"
    "pushq %r13\n.cfi_adjust_cfa_offset 8\n.cfi_rel_offset %r13, 0\n"
    "pushq %r14\n.cfi_adjust_cfa_offset 8\n.cfi_rel_offset %r14, 0\n"
    "pushq %r15\n.cfi_adjust_cfa_offset 8\n.cfi_rel_offset %r15, 0\n"
    "subq $8, %rsp\n.cfi_adjust_cfa_offset 8\n"
    "movq %rdi, %rax\n"
    "movq %rsi, %rdi\n"
    "xorl %ebx, %ebx\nxorl %ebp, %ebp\nxorl %r12d, %r12d\nxorl %r13d, %r13d\nxorl %r14d, %r14d\nxorl %r15d, %r15d\n"
    "xorl %esi, %esi\nxorl %edx, %edx\nxorl %ecx, %ecx\n"
    "call *%rax\n"
    "leaq -262144(%rsp), %rdi\n"
    "movl $32768, %ecx\n"
    "xorl %eax, %eax\n"
    "rep stosq\n"
    "pxor %xmm0, %xmm0\npxor %xmm1, %xmm1\npxor %xmm2, %xmm2\npxor %xmm3, %xmm3\n"
    "pxor %xmm4, %xmm4\npxor %xmm5, %xmm5\npxor %xmm6, %xmm6\npxor %xmm7, %xmm7\n"
    "pxor %xmm8, %xmm8\npxor %xmm9, %xmm9\npxor %xmm10, %xmm10\npxor %xmm11, %xmm11\n"
    "pxor %xmm12, %xmm12\npxor %xmm13, %xmm13\npxor %xmm14, %xmm14\npxor %xmm15, %xmm15\n"
    "xorl %edx, %edx\nxorl %esi, %esi\nxorl %edi, %edi\n"
    "xorl %r8d, %r8d\nxorl %r9d, %r9d\nxorl %r10d, %r10d\nxorl %r11d, %r11d\n"
    "addq $8, %rsp\n.cfi_adjust_cfa_offset -8\n"
    "popq %r15\n.cfi_adjust_cfa_offset -8\n.cfi_restore %r15\n"
    "popq %r14\n.cfi_adjust_cfa_offset -8\n.cfi_restore %r14\n"
    "popq %r13\n.cfi_adjust_cfa_offset -8\n.cfi_restore %r13\n"
    "popq %r12\n.cfi_adjust_cfa_offset -8\n.cfi_restore %r12\n"
    "popq %rbx\n.cfi_adjust_cfa_offset -8\n.cfi_restore %rbx\n"
    "popq %rbp\n.cfi_adjust_cfa_offset -8\n.cfi_restore %rbp\n"
    "ret\n"
    ".cfi_endproc\n"
    ".size clean_call, .-clean_call\n"
    ".section .note.GNU-stack,\"\",@progbits\n"
    ".text\n");
#else
static NOINLINE void wipe(void) {
  volatile char below[262144];
  for (size_t i = 0; i < sizeof below; i++) below[i] = 0;
}

NOINLINE void clean_call(void (*function)(void *), void *argument) {
  void (*volatile target)(void *) = function;
  target(argument);
  wipe();
}
#endif

static void nothing(void *unused) { (void)unused; }

void scrub(void) { clean_call(nothing, NULL); }

struct hidden_request {
  size_t size;
  uintptr_t hidden;
};

static void allocate_hidden(void *request) {
  struct hidden_request *wanted = (struct hidden_request *)request;
  void *object = malloc(wanted->size);
  if (object == NULL) failed(__FILE__, __LINE__, "malloc");
  memset(object, 0, wanted->size);
  wanted->hidden = hide(object);
}

uintptr_t hidden_malloc(size_t size) {
  struct hidden_request request = {size, 0};
  clean_call(allocate_hidden, &request);
  return request.hidden;
}

static void say(const char *a, const char *b, const char *c) {
  char line[512];
  int length = snprintf(line, sizeof line, "%s%s%s\n", a, b, c);
  if (length > 0 && write(2, line, (size_t)length) < 0) _exit(98);
}

void skip(const char *reason) {
  say("skipped: ", reason, "");
  _exit(77);
}

void failed(const char *file, int line, const char *what) {
  char place[300];
  snprintf(place, sizeof place, "%s:%d: check failed: ", file, line);
  say(place, what, "");
  _exit(99);
}

uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void await(volatile int *flag) {
  uint64_t end = now_ns() + UINT64_C(10000000000);
  while (!__atomic_load_n(flag, __ATOMIC_ACQUIRE)) {
    if (now_ns() > end) failed(__FILE__, __LINE__, "await: ten seconds passed");
    usleep(200);
  }
}
