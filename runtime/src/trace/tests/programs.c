// Stacks of every shape, for the unit tests of trace: each scenario ends in a call of hook().
#define _GNU_SOURCE
#include <alloca.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

static void (*hook_of_all)(void);
static __thread void (*hook_here)(void);
#define hook() (hook_here ? hook_here() : hook_of_all())
static volatile int sink;

void set_hook(void (*function)(void)) { hook_of_all = function; }
void set_hook_here(void (*function)(void)) { hook_here = function; }

#define NOINLINE __attribute__((noinline, noclone))

NOINLINE int recurse(int depth) {
    if (depth == 0) {
        hook();
        return 1;
    }
    int result = recurse(depth - 1) * 3 + 1;
    sink++;
    return result;
}

// Frames of many sizes, with all callee-saved registers in use.
NOINLINE long busy(long a, long b, long c, long d, long e, long f, int depth) {
    volatile char pad[40];
    pad[depth] = 1;
    if (depth == 0) {
        hook();
    } else {
        sink += busy(b, c, d, e, f, a, depth - 1) + busy(f + 1, a, b, c, d, e, 0);
    }
    return a * 3 + b * 5 + c * 7 + d * 11 + e * 13 + f + pad[depth];
}

static int compare(const void *a, const void *b) {
    hook();
    return *(const int *)a - *(const int *)b;
}

NOINLINE void sort(void) {
    int numbers[] = {4, 1, 3, 2};
    qsort(numbers, 4, sizeof *numbers, compare);
    sink += numbers[0];
}

// CFA in rbp; and, with an aligned local, behind a saved pointer (CFA by expression).
NOINLINE void variable(int bytes) {
    char *room = alloca(bytes);
    memset(room, 1, bytes);
    hook();
    sink += room[bytes / 2];
}

NOINLINE void aligned(int bytes) {
    char *room = alloca(bytes);
    char line[64] __attribute__((aligned(64)));
    memset(room, 1, bytes);
    memset(line, 2, sizeof line);
    hook();
    sink += room[bytes / 2] + line[bytes % 64];
}

NOINLINE void large(void) {
    volatile char room[300000];
    room[0] = room[299999] = 1;
    hook();
    sink += room[150000];
}

static void on_signal(int number) {
    sink += number;
    hook();
}

NOINLINE void raised(int on_stack) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = on_stack ? SA_ONSTACK : 0}, old;
    sigaction(SIGUSR1, &action, &old);
    raise(SIGUSR1);
    sigaction(SIGUSR1, &old, 0);
    sink++;
}

static sigjmp_buf out;
static void on_fault(int number) {
    sink += number;
    hook();
    siglongjmp(out, 1);
}

// The fault is in the very first instruction of a function: the row is not that of the instruction before.
__attribute__((naked, noinline)) static void faulty(void) { __asm__("movl %eax, 8\n ret"); }
// The fault is behind half of the pushes.
__asm__(".text\n.type half_pushed,@function\nhalf_pushed:\n.cfi_startproc\n"
        "push %rbp\n.cfi_adjust_cfa_offset 8\n.cfi_rel_offset rbp,0\n"
        "push %rbx\n.cfi_adjust_cfa_offset 8\n.cfi_rel_offset rbx,0\n"
        "xor %ebx,%ebx\nmov %rbx,%rbp\nmovl %eax, 8\n"
        "pop %rbx\n.cfi_adjust_cfa_offset -8\n.cfi_restore rbx\npop %rbp\n.cfi_adjust_cfa_offset -8\n.cfi_restore rbp\n"
        "ret\n.cfi_endproc\n.size half_pushed,.-half_pushed\n");
void half_pushed(void);

NOINLINE void faults(int on_stack, int half) {
    struct sigaction action = {.sa_handler = on_fault, .sa_flags = (on_stack ? SA_ONSTACK : 0) | SA_NODEFER}, old;
    sigaction(SIGSEGV, &action, &old);
    if (sigsetjmp(out, 1) == 0) {
        if (half) half_pushed(); else faulty();
    }
    sigaction(SIGSEGV, &old, 0);
    sink++;
}

void with_altstack(void (*function)(int, int), int a, int b) {
    static __thread char room[1 << 16];
    stack_t stack = {.ss_sp = room, .ss_size = sizeof room}, old;
    sigaltstack(&stack, &old);
    function(a, b);
    sigaltstack(&old, 0);
}
void raised_on_altstack(void) { with_altstack((void (*)(int, int))raised, 1, 0); sink++; }
void faults_on_altstack(void) { with_altstack(faults, 1, 1); sink++; }

static __thread ucontext_t back, there;
static void in_context(int depth) { recurse(depth); sink++; }

NOINLINE void context(void *stack, unsigned long size, int depth) {
    getcontext(&there);
    there.uc_stack.ss_sp = stack;
    there.uc_stack.ss_size = size;
    there.uc_link = &back;
    makecontext(&there, (void (*)(void))in_context, 1, depth);
    swapcontext(&back, &there);
    sink++;
}

// A function that runs another on a fresh stack and finds its own frame through rbp.
__asm__(".text\n.globl on_fresh_stack\n.type on_fresh_stack,@function\non_fresh_stack:\n.cfi_startproc\n"
        "push %rbp\n.cfi_def_cfa_offset 16\n.cfi_offset rbp,-16\nmov %rsp,%rbp\n.cfi_def_cfa_register rbp\n"
        "mov %rdi,%rsp\ncall *%rsi\nmov %rbp,%rsp\npop %rbp\n.cfi_def_cfa rsp,8\nret\n.cfi_endproc\n"
        ".size on_fresh_stack,.-on_fresh_stack\n");
void on_fresh_stack(void *top, void (*function)(void));
static void recurse_five(void) { recurse(5); sink++; }
NOINLINE void fresh(void *top) { on_fresh_stack(top, recurse_five); sink++; }

// Assembly without unwind information: with a frame pointer, and without.
__asm__(".text\n.globl bare_framed\n.type bare_framed,@function\nbare_framed:\n"
        "push %rbp\nmov %rsp,%rbp\nsub $32,%rsp\ncall *%rdi\nleave\nret\n.size bare_framed,.-bare_framed\n"
        ".globl bare\n.type bare,@function\nbare:\nsub $24,%rsp\ncall *%rdi\nadd $24,%rsp\nret\n.size bare,.-bare\n");
void bare_framed(void (*function)(void));
void bare(void (*function)(void));
static void call_hook(void) { hook(); sink++; }
__attribute__((noinline, optimize("no-omit-frame-pointer"))) void through_bare_framed(void) { bare_framed(call_hook); sink++; }
__attribute__((noinline)) void through_bare(void) { bare(call_hook); sink++; }

// Below the resolver of lazy binding: its CFA is in rbx.
static int resolved(void) { return 5; }
static void *resolver(void) { if (hook_of_all) hook(); return resolved; }
int lazily(void) __attribute__((ifunc("resolver")));
NOINLINE int lazy(void) { return lazily() + 1; }

// A random walk through functions of different shapes: frames come and go at every depth, with the same and with other
// stack pointers, and the hook is called from all of them.
static __thread unsigned long seed;
static unsigned next(void) { seed = seed * 6364136223846793005ul + 1442695040888963407ul; return seed >> 40; }
static void wander(int depth, long a, long b);
NOINLINE static void plain(int depth, long a, long b) {
    for (unsigned turns = 1 + next() % 3; turns > 0; turns--) { wander(depth, a, b + turns); a += b; if (next() % 4 == 0) hook(); }
    sink += a;
}
NOINLINE static void roomy(int depth, long a, long b) {
    char *room = alloca(next() % 3 * 48 + 16);
    room[0] = room[15] = a;
    wander(depth, b, a);
    if (next() % 2) hook();
    sink += room[next() % 16];
}
NOINLINE static void lined(int depth, long a, long b) {
    char line[64] __attribute__((aligned(64)));
    memset(line, a, sizeof line);
    wander(depth, a, b);
    sink += line[b & 63];
}
NOINLINE __attribute__((optimize("no-omit-frame-pointer"))) static void framed(int depth, long a, long b) {
    wander(depth, a * b, a);
    hook();
    sink++;
}
NOINLINE static void spread(int depth, long a, long b) {
    long c = a ^ b, d = a + b, e = a - b, f = a | b;
    wander(depth, c, d);
    hook();
    sink += a + b + c + d + e + f;
}
NOINLINE static void wander(int depth, long a, long b) {
    if (depth <= 0) { hook(); sink++; return; }
    switch (next() % 16) {
        case 0: lined(depth - 1, a, b); break;
        case 1 ... 3: roomy(depth - 1, a, b); break;
        case 4 ... 7: framed(depth - 1, a, b); break;
        case 8 ... 11: spread(depth - 1, a, b); break;
        default: plain(depth - 1, a, b);
    }
    sink++;
}
void wandering(unsigned long start, int depth, int times) {
    seed = start;
    while (times-- > 0) wander(next() % depth, times, seed);
}
