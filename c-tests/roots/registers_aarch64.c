// The only pointer to an object is in a register of an aarch64 CPU: of a spinning thread, of the one that calls exit, of one that asks for a check; only a caller-saved one of a thread in a system call is not sure.
// FLAGS: -pthread
// REFERENCE: exit() itself pushes some or not, as it was compiled
// EXPECT: clean
// ARGS: spin x0
// EXPECT: clean
// ARGS: spin x7
// EXPECT: clean
// ARGS: spin x18
// EXPECT: clean
// ARGS: spin x19
// EXPECT: clean
// ARGS: spin x28
// EXPECT: clean
// ARGS: spin x29
// EXPECT: clean
// ARGS: spin x30
// EXPECT: clean
// ARGS: spin v0
// EXPECT: clean
// ARGS: spin v31
// EXPECT: clean
// ARGS: spin z5
// EXPECT: leak 4242 bytes in 1 object
// ARGS: spin none
// EXPECT-WITH use_registers=0: leak 4242 bytes in 1 object
// ARGS: spin x7
// EXPECT-WITH use_registers=0: leak 4242 bytes in 1 object
// ARGS: spin v31
// EXPECT: clean
// ARGS: exit x19
// EXPECT: clean
// ARGS: exit x28
// EXPECT: clean
// ARGS: exit d8
// EXPECT: leak 4242 bytes in 1 object
// ARGS: exit none
// EXPECT: clean
// ARGS: call x19
// EXPECT: clean
// ARGS: call x28
// EXPECT: clean
// ARGS: call d15
// EXPECT: status 1
// ARGS: call none
// EXPECT: possible 4242 bytes in 1 object
// ARGS: wait x5
#include "support.h"

#if defined(__aarch64__)
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/prctl.h>

extern int __lsan_do_recoverable_leak_check(void);
uintptr_t hidden;
volatile int ready;

#define BEGIN(name) \
  void name(void);  \
  __asm__(".text\n.arch_extension sve\n.type " #name ", %function\n" #name ":\n.cfi_startproc\n"
#define END "\n.cfi_endproc\n");
#define POINTER(reg) "adrp " #reg ", hidden\nldr " #reg ", [" #reg ", :lo12:hidden]\nmvn " #reg ", " #reg "\n"
#define READY "adrp x16, ready\nmov w17, #1\nstr w17, [x16, :lo12:ready]\nmov x16, xzr\nmov x17, xzr\n"

/* `load` moves the pointer from x0 to its place, which alone has it from then on. */
#define SPINNER(name, load) BEGIN(spin_##name) POINTER(x0) load "\n" READY "1: yield\nb 1b" END
#define GENERAL(reg) SPINNER(reg, "mov " #reg ", x0\nmov x0, xzr")
SPINNER(none, "mov x0, xzr")
SPINNER(x0, "")
GENERAL(x7) GENERAL(x18) GENERAL(x19) GENERAL(x28) GENERAL(x29) GENERAL(x30)
SPINNER(v0, "fmov d0, x0\nmov x0, xzr")
SPINNER(v31, "movi v31.2d, #0\nmov v31.d[1], x0\nmov x0, xzr")
/* Above the first 128 bits, which NEON has. */
SPINNER(z5, "mov z5.d, x0\nptrue p0.d, vl2\nmov z5.d, p0/m, #0\nmov x0, xzr")

/* The register holds the pointer during the call only; what it held before is kept on the stack. */
#define SAVE "stp x29, x30, [sp, #-32]!\n.cfi_def_cfa_offset 32\n.cfi_offset x29, -32\n.cfi_offset x30, -24\n"
#define CALLER(name, reg, load, function)                                                            \
  BEGIN(name) SAVE "str " #reg ", [sp, #16]\n.cfi_offset " #reg ", -16\n" POINTER(x0) load "\n"      \
  "mov x0, xzr\nbl " #function "\nldr " #reg ", [sp, #16]\nldp x29, x30, [sp], #32\nret" END
#define BOTH(reg, load)                                               \
  CALLER(exit_##reg, reg, load, exit)                                 \
  CALLER(call_##reg, reg, load, __lsan_do_recoverable_leak_check)
BOTH(x19, "mov x19, x0") BOTH(x28, "mov x28, x0") BOTH(d8, "fmov d8, x0") BOTH(d15, "fmov d15, x0")
static void exit_none(void) { exit(0); }

/* ppoll(2) of nothing leaves x5 alone. */
BEGIN(wait_x5) POINTER(x5) READY
  "1: mov x0, xzr\nmov x1, xzr\nmov x2, xzr\nmov x3, xzr\nmov x4, #8\nmov x8, #73\nsvc #0\nb 1b" END

#define ROW(how, reg) {#how, #reg, how##_##reg}
static const struct {
  const char *how, *place;
  void (*run)(void);
} all[] = {ROW(spin, none), ROW(spin, x0), ROW(spin, x7), ROW(spin, x18), ROW(spin, x19), ROW(spin, x28),
           ROW(spin, x29), ROW(spin, x30), ROW(spin, v0), ROW(spin, v31), ROW(spin, z5), ROW(exit, none),
           ROW(exit, x19), ROW(exit, x28), ROW(exit, d8), ROW(exit, d15), ROW(call, x19), ROW(call, x28),
           ROW(call, d8), ROW(call, d15), ROW(wait, x5), {"call", "none", NULL}};
static unsigned chosen;

static void *holder(void *unused) {
  all[chosen].run();
  return unused;
}

static int has_long_vectors(void) {
  const unsigned long sve = 1 << 22;
  const int get_length = 51; /* PR_SVE_GET_VL */
  return (getauxval(AT_HWCAP) & sve) && (prctl(get_length) & 0xffff) > 16;
}

int main(int count, char **arguments) {
  CHECK(count == 3);
  while (strcmp(arguments[1], all[chosen].how) != 0 || strcmp(arguments[2], all[chosen].place) != 0)
    CHECK(++chosen < sizeof all / sizeof all[0]);
  if (all[chosen].place[0] == 'z' && !has_long_vectors()) return 0;
  hidden = hidden_malloc(4242);
  if (strcmp(all[chosen].how, "exit") == 0) all[chosen].run();
  if (strcmp(all[chosen].how, "call") == 0) {
    int (*check)(void) = all[chosen].run ? (int (*)(void))all[chosen].run : __lsan_do_recoverable_leak_check;
    int leaks = check();
    free(unhide(hidden));
    return leaks;
  }
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, holder, NULL) == 0);
  await(&ready);
  usleep(20000);
  return 0;
}
#else
int main(void) { skip("written for aarch64"); }
#endif
