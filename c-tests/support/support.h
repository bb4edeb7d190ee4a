/* What the C tests share. Linked from libctests_support.a (built by the root package's build.rs). */
#ifndef CTESTS_SUPPORT_H
#define CTESTS_SUPPORT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))

/* A multiple of the page, whatever kernel is running: arm64's have 4, 16 or 64 KiB. */
enum { PAGE = 64 << 10 };

#ifdef __cplusplus
extern "C" {
#endif

/* Calls function(argument) and leaves no trace of it: 256 KiB of stack below the caller and all registers that a call
 * may clobber are zero afterwards. What a test builds in there is held only by what it stored on purpose. */
void clean_call(void (*function)(void *), void *argument);

/* Leaves zero in the stack below the caller and in all registers that a call may clobber. */
void scrub(void);

/* A number that no scanner takes for a pointer, and back. */
static inline uintptr_t hide(const void *pointer) { return ~(uintptr_t)pointer; }
static inline void *unhide(uintptr_t hidden) { return (void *)~hidden; }

/* malloc(size) that leaves only the hidden address. */
uintptr_t hidden_malloc(size_t size);

/* Ends the test as skipped, with a reason. */
void skip(const char *reason) __attribute__((noreturn));

/* Ends the test as failed (status 99), with the place. */
void failed(const char *file, int line, const char *what) __attribute__((noreturn));
#define CHECK(condition) ((condition) ? (void)0 : failed(__FILE__, __LINE__, #condition))

/* How many times slower than usual this machine is, by TESTS_SLOWNESS, which is set for an emulated CPU; else 1. Limits
 * of time are multiplied by it. */
int slowness(void);

/* How often to repeat what a machine of usual speed repeats so often, at least once. */
static inline int repeats(int usual) { return usual > slowness() ? usual / slowness() : 1; }

/* Waits until *flag is not 0, and fails the test after ten seconds (of a machine of usual speed). */
void await(volatile int *flag);

/* pthread_sigqueue for the thread with the id `tid`: not every C library has that. Returns 0, or -1 and errno. */
int queue_signal(int tid, int signal, uintptr_t value);

/* The id of this thread. */
int own_tid(void);

/* Nanoseconds of the monotonic clock. */
uint64_t now_ns(void);

/* Tells the compiler that the object at `pointer` is used: malloc and free pairs are not optimised away. */
static inline void *use(void *pointer) {
  __asm__ volatile("" : "+r"(pointer) : : "memory");
  return pointer;
}

#ifdef __cplusplus
}
#endif
#endif
