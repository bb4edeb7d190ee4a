/* What the C tests share: see support.h. */
#include "support.h"

#include <signal.h>
#include <sys/syscall.h>
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
#elif defined(__aarch64__)
/* As above: x19 to x28 and d8 to d15 are the callee-saved registers, x29 and x30 make the frame record. */
__asm__(
    ".text\n"
    ".globl clean_call\n"
    ".type clean_call, %function\n"
    "clean_call:\n"
    ".cfi_startproc\n"
    "stp x29, x30, [sp, #-160]!\n.cfi_def_cfa_offset 160\n.cfi_offset x29, -160\n.cfi_offset x30, -152\n"
    "mov x29, sp\n"
    "stp x19, x20, [sp, #16]\n.cfi_offset x19, -144\n.cfi_offset x20, -136\n"
    "stp x21, x22, [sp, #32]\n.cfi_offset x21, -128\n.cfi_offset x22, -120\n"
    "stp x23, x24, [sp, #48]\n.cfi_offset x23, -112\n.cfi_offset x24, -104\n"
    "stp x25, x26, [sp, #64]\n.cfi_offset x25, -96\n.cfi_offset x26, -88\n"
    "stp x27, x28, [sp, #80]\n.cfi_offset x27, -80\n.cfi_offset x28, -72\n"
    "stp d8, d9, [sp, #96]\n.cfi_offset d8, -64\n.cfi_offset d9, -56\n"
    "stp d10, d11, [sp, #112]\n.cfi_offset d10, -48\n.cfi_offset d11, -40\n"
    "stp d12, d13, [sp, #128]\n.cfi_offset d12, -32\n.cfi_offset d13, -24\n"
    "stp d14, d15, [sp, #144]\n.cfi_offset d14, -16\n.cfi_offset d15, -8\n"
    "mov x9, x0\nmov x0, x1\n"
    "mov x19, xzr\nmov x20, xzr\nmov x21, xzr\nmov x22, xzr\nmov x23, xzr\n"
    "mov x24, xzr\nmov x25, xzr\nmov x26, xzr\nmov x27, xzr\nmov x28, xzr\n"
    "movi d8, #0\nmovi d9, #0\nmovi d10, #0\nmovi d11, #0\nmovi d12, #0\nmovi d13, #0\nmovi d14, #0\nmovi d15, #0\n"
    "mov x1, xzr\nmov x2, xzr\nmov x3, xzr\n"
    "blr x9\n"
    "sub x9, sp, #262144\n"
    "1: stp xzr, xzr, [x9], #16\ncmp sp, x9\nb.hi 1b\n"
    "movi v0.2d, #0\nmovi v1.2d, #0\nmovi v2.2d, #0\nmovi v3.2d, #0\n"
    "movi v4.2d, #0\nmovi v5.2d, #0\nmovi v6.2d, #0\nmovi v7.2d, #0\n"
    "movi v16.2d, #0\nmovi v17.2d, #0\nmovi v18.2d, #0\nmovi v19.2d, #0\n"
    "movi v20.2d, #0\nmovi v21.2d, #0\nmovi v22.2d, #0\nmovi v23.2d, #0\n"
    "movi v24.2d, #0\nmovi v25.2d, #0\nmovi v26.2d, #0\nmovi v27.2d, #0\n"
    "movi v28.2d, #0\nmovi v29.2d, #0\nmovi v30.2d, #0\nmovi v31.2d, #0\n"
    "mov x0, xzr\nmov x1, xzr\nmov x2, xzr\nmov x3, xzr\nmov x4, xzr\nmov x5, xzr\n"
    "mov x6, xzr\nmov x7, xzr\nmov x8, xzr\nmov x10, xzr\nmov x11, xzr\nmov x12, xzr\n"
    "mov x13, xzr\nmov x14, xzr\nmov x15, xzr\nmov x16, xzr\nmov x17, xzr\n"
    "ldp x19, x20, [sp, #16]\nldp x21, x22, [sp, #32]\nldp x23, x24, [sp, #48]\n"
    "ldp x25, x26, [sp, #64]\nldp x27, x28, [sp, #80]\n"
    "ldp d8, d9, [sp, #96]\nldp d10, d11, [sp, #112]\nldp d12, d13, [sp, #128]\nldp d14, d15, [sp, #144]\n"
    "ldp x29, x30, [sp], #160\n.cfi_def_cfa_offset 0\n"
    "ret\n"
    ".cfi_endproc\n"
    ".size clean_call, .-clean_call\n"
    ".section .note.GNU-stack,\"\",%progbits\n"
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

int own_tid(void) { return (int)syscall(SYS_gettid); }

int queue_signal(int tid, int signal, uintptr_t value) {
  siginfo_t info;
  memset(&info, 0, sizeof info);
  info.si_signo = signal;
  info.si_code = SI_QUEUE;
  info.si_pid = getpid();
  info.si_uid = getuid();
  info.si_value.sival_ptr = (void *)value;
  return (int)syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, signal, &info);
}

uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int slowness(void) {
  const char *text = getenv("TESTS_SLOWNESS");
  return text ? atoi(text) : 1;
}

void await(volatile int *flag) {
  uint64_t end = now_ns() + UINT64_C(10000000000) * (uint64_t)slowness();
  while (!__atomic_load_n(flag, __ATOMIC_ACQUIRE)) {
    if (now_ns() > end) failed(__FILE__, __LINE__, "await: ten seconds passed");
    usleep(200);
  }
}
