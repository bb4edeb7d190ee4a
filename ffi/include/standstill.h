/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * standstill.h - the C interface of Standstill, a leak sanitizer runtime.
 *
 * How to use it
 *   Link libstandstill.a into the program, or start the program with LD_PRELOAD=libstandstill.so. Nothing has to be
 *   called: a check runs by itself when the process exits. This header is for programs that want more than that.
 *   A program that must also run without Standstill declares the functions weak:
 *       #pragma weak standstill_check_recoverable
 *       if (standstill_check_recoverable) ...
 *   A weak name alone takes nothing out of an archive. A program that allocates has the archive in it by that; one that
 *   only its libraries allocate for is linked with -Wl,-u,standstill_check_recoverable as well.
 *
 * Conventions, true for every function unless its comment says otherwise
 *   threads      any thread may call, at any time, together with any other call. Checks wait for each other.
 *   signals      not async-signal-safe: do not call from a signal handler.
 *   errno        left as it was.
 *   memory       nothing that is passed in is kept or freed; nothing that comes out has to be freed.
 *   const        what a const pointer points to is not changed.
 *   out params   come last, may be NULL, and are written only when the function's result says that they were.
 *   structs      carry their size first. Initialise them with their _INIT macro. A program built with an older header
 *                (smaller struct) keeps working with a newer library; one built with a newer header (larger struct)
 *                works with an older library as long as what that library does not know is zero.
 *   codes        values are never reused.
 *
 * The names of LLVM's <sanitizer/lsan_interface.h> (__lsan_disable, __lsan_do_leak_check ...) are exported too, with
 * LSan's meaning. Both sets act on the same state: __lsan_disable() nests with standstill_disable().
 */
#ifndef STANDSTILL_H
#define STANDSTILL_H 1

#include <stddef.h>
#include <stdint.h>

/* The version of this header. STANDSTILL_VERSION is 10000 * major + 100 * minor + patch. */
#define STANDSTILL_VERSION_MAJOR 0
#define STANDSTILL_VERSION_MINOR 1
#define STANDSTILL_VERSION_PATCH 0
#define STANDSTILL_VERSION_STRING "0.1.0"
#define STANDSTILL_VERSION \
  (10000 * STANDSTILL_VERSION_MAJOR + 100 * STANDSTILL_VERSION_MINOR + STANDSTILL_VERSION_PATCH)

#ifdef __cplusplus
extern "C" {
#endif

/* What a check found. Every check ends in exactly one of these. */
enum standstill_code {
  STANDSTILL_CLEAN = 0,           /* everything was seen, and nothing is lost */
  STANDSTILL_DONE = 0,            /* of a function that is no check: all of it was done */
  STANDSTILL_LEAKS = 1,           /* at least one object can no longer be reached and is not suppressed */
  STANDSTILL_INCOMPLETE = 2,      /* no leak was seen, but not everything could be looked at; the report names what */
  STANDSTILL_COULD_NOT_CHECK = 3, /* no result at all; the program runs on as before. Never to be read as clean */
  STANDSTILL_TURNED_OFF = 4,      /* checks are off: detect_leaks=0, or __lsan_is_turned_off() said so */
  STANDSTILL_BAD_ARGUMENT = 5,    /* the size or a reserved field of a struct is wrong; nothing was done */
  STANDSTILL_NO_OBJECT = 6        /* what was asked about is not there: no object of the heap, thread or signal */
};

/* ------------------------------------------------------------------------------------------------ checks */

/*
 * void standstill_check(void)
 *   Checks now, once, in place of the check at exit: what __lsan_do_leak_check does.
 *   exits         yes: when leaks are found the report is printed and the process ends as by exit(), with the status of
 *                 the option `exitcode` (23). Otherwise, also when the check could not be made, it returns.
 *   repeatable    no: the second and every later call returns at once.
 *   check at exit does not run any more after this call, whatever it found.
 */
void standstill_check(void);

/* Bits of standstill_check_options.flags. */
#define STANDSTILL_CHECK_QUIET UINT32_C(1) /* print no report; only the result is filled in */

/* Where to scan: values of standstill_check_options.snapshot. */
enum standstill_snapshot {
  STANDSTILL_SNAPSHOT_OPTION = 0, /* as the option `snapshot` says */
  STANDSTILL_SNAPSHOT_AUTO = 1,   /* on a copy of the memory when that pays, otherwise in place */
  STANDSTILL_SNAPSHOT_NEVER = 2,  /* in place: the program stands still during the whole scan */
  STANDSTILL_SNAPSHOT_ALWAYS = 3  /* on a copy whenever one can be made: the program stands still for a fork */
};

/* How to check. All fields zero (but `size`) is the default. */
struct standstill_check_options {
  size_t size;          /* sizeof(struct standstill_check_options) */
  uint32_t flags;       /* STANDSTILL_CHECK_..., or 0 */
  uint32_t deadline_ms; /* longest time the program may stand still, in milliseconds; 0 = the option `deadline_ms` */
  uint32_t snapshot;    /* enum standstill_snapshot */
  uint32_t since;       /* only what was allocated after this baseline; 0 = everything. See standstill_baseline() */
};
#define STANDSTILL_OPTIONS_INIT { sizeof(struct standstill_check_options), 0, 0, 0, 0 }

/* What a check found, in numbers. Sizes are what the program asked for, in bytes. */
struct standstill_check_result {
  size_t size;               /* sizeof(struct standstill_check_result); set by the caller, not changed */
  uint64_t direct_objects;   /* lost, and no other lost object leads there (of a lost cycle: one, its head) */
  uint64_t direct_bytes;
  uint64_t indirect_objects; /* lost, reached from a direct leak */
  uint64_t indirect_bytes;
  uint64_t possible_objects; /* held only by a doubtful root; never counted as leaks */
  uint64_t possible_bytes;
  uint64_t suppressed_objects; /* lost, but matched by a suppression; in none of the numbers above */
  uint64_t suppressed_bytes;
  uint64_t pause_ns;           /* how long the other threads stood still, in nanoseconds; 0 if there were none */
  uint64_t scan_ns;            /* how long the scan took, in nanoseconds */
  uint64_t copied_pages;       /* on a snapshot: pages that the program wrote to meanwhile, and the kernel copied for it */
  uint32_t on_snapshot;        /* 1: scanned on a copy while the program ran; 0: in place */
  uint32_t reserved;
};
#define STANDSTILL_RESULT_INIT { sizeof(struct standstill_check_result), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/*
 * int standstill_check_recoverable(options, result)
 *   Checks now and returns an enum standstill_code.
 *   options       how; NULL = STANDSTILL_OPTIONS_INIT. Not kept.
 *   result        the numbers; may be NULL. `result->size` must be set (STANDSTILL_RESULT_INIT). Written only when the
 *                 code is STANDSTILL_CLEAN, STANDSTILL_LEAKS or STANDSTILL_INCOMPLETE.
 *   exits         never.
 *   repeatable    as often as you like. A leak that is still there is counted, and reported, again each time.
 *   check at exit not affected.
 *   The caller's own frames are roots as they are at the call; a pointer that only a dead variable of the caller held
 *   may be lost or not, as the compiler left it.
 */
int standstill_check_recoverable(const struct standstill_check_options *options,
                                 struct standstill_check_result *result);

/* A check that was begun. */
struct standstill_pending;

/*
 * int standstill_check_begin(const struct standstill_check_options *options, struct standstill_pending **pending)
 *   The first half of standstill_check_recoverable(): when it returns, the program has been stopped and runs again, and
 *   the scan goes on in a snapshot, a process of its own. Where no snapshot is made the scan was made in place.
 *   options       as there; with the default `snapshot` a program with one thread is worth a snapshot too.
 *   pending       receives the check when the result is STANDSTILL_DONE; to be given to standstill_check_finish() once,
 *                 by any thread of this process.
 *   returns       STANDSTILL_DONE, also where the program could not be stopped or scanned: standstill_check_finish() then
 *                 says why and returns STANDSTILL_COULD_NOT_CHECK. STANDSTILL_COULD_NOT_CHECK (inside of another check, or no
 *                 memory), STANDSTILL_TURNED_OFF, STANDSTILL_BAD_ARGUMENT: nothing was begun.
 *   exits         never.
 *   repeatable    yes; several may be pending. One that is never finished leaves a process that has ended unreaped.
 *   check at exit not affected. When the process ends the snapshot ends with it.
 *   The snapshot is a child process that neither SIGCHLD nor a wait without __WALL tells of. It has no descriptor of the
 *   program's. Pages that the program writes to while it lives are copied by the kernel.
 */
int standstill_check_begin(const struct standstill_check_options *options, struct standstill_pending **pending);

/*
 * int standstill_check_descriptor(const struct standstill_pending *pending)
 *   A new descriptor, close-on-exec, that poll(2) and its kin call readable when standstill_check_finish() need not wait.
 *   The caller closes it. -1: it need not wait now, or the kernel has no such descriptors (before Linux 5.3).
 *   exits         never.
 *   repeatable    yes.
 *   check at exit not affected.
 */
int standstill_check_descriptor(const struct standstill_pending *pending);

/*
 * int standstill_check_finish(struct standstill_pending *pending, struct standstill_check_result *result)
 *   The second half: waits for the scan, prints the report, fills in the result. `pending` is gone afterwards, unless
 *   the result is STANDSTILL_BAD_ARGUMENT.
 *   returns       as standstill_check_recoverable(). STANDSTILL_COULD_NOT_CHECK also in a forked child of the process that
 *                 began the check.
 *   what it tells of is the program as it was when the check was begun, with one exception: where the snapshot came to
 *                 nothing (its process was killed or found no memory, or lacks memory that the program keeps from a fork)
 *                 the check is made again here and in place, and tells of the program as it is now. The `on_snapshot` of the
 *                 result is 0 then, and a note says so with verbosity=1. A scan that takes too long is not made again.
 *   result        as there.
 *   exits         never.
 *   repeatable    once for each check that was begun.
 *   check at exit not affected.
 */
int standstill_check_finish(struct standstill_pending *pending, struct standstill_check_result *result);

/* ------------------------------------------------------------------------------- what is new, what grew */

/*
 * uint32_t standstill_baseline(void)
 *   Marks every object that is alive now as older than what comes, and remembers how much each call stack has. A check
 *   with `since` set to the number that is returned tells of leaks that were allocated later, and its report lists the
 *   call stacks of which more is alive than there was then. An object that was given to realloc() counts as allocated by
 *   that call, whatever its size and place.
 *   returns       the number of the baseline, from 1 on; 0 if the program could not be stopped (one line says why).
 *   remembered    the last seven baselines; an older number is STANDSTILL_BAD_ARGUMENT to a check.
 *   exits         never.
 *   repeatable    yes. Costs a stop and a walk over the metadata of all objects, and malloc nothing.
 *   check at exit not affected; its report says of each leak after which baseline it was allocated.
 */
uint32_t standstill_baseline(void);

/* A stretch of one thread's execution. Set to STANDSTILL_SCOPE_INIT, then left alone. */
struct standstill_scope {
  size_t size;     /* sizeof(struct standstill_scope) */
  uint32_t flags;  /* STANDSTILL_CHECK_QUIET or 0; how the check at its end is made */
  uint32_t number; /* the library's, and so are the next two */
  uint32_t outer;
  int32_t thread;
};
#define STANDSTILL_SCOPE_INIT { sizeof(struct standstill_scope), 0, 0, 0, 0 }

/*
 * int standstill_scope_begin(struct standstill_scope *scope)
 * int standstill_scope_end(struct standstill_scope *scope, struct standstill_check_result *result)
 *   For tests: nothing that the calling thread allocates between the two is leaked at the end. What other threads
 *   allocate meanwhile does not matter, and neither do older leaks. What is still held by something is no leak, and
 *   belongs to the scope around from then on: scopes of a thread nest. The end of one also ends those that were begun in
 *   it and not ended, by a longjmp() perhaps: their objects are its own. The end of a thread ends its scopes.
 *   begin         STANDSTILL_CLEAN: it has begun. STANDSTILL_COULD_NOT_CHECK: fifteen scopes are open in the process.
 *                 STANDSTILL_BAD_ARGUMENT: the struct is wrong, or its scope is open already. One line says so.
 *   end           as standstill_check_recoverable(), about the scope's objects. STANDSTILL_TURNED_OFF also when checks
 *                 were off at the begin. STANDSTILL_BAD_ARGUMENT: no scope of the calling thread is open in the struct;
 *                 nothing was done, and one line says so. Otherwise the struct can be used again. After an end that could
 *                 not check, the objects belong to the scope around too.
 *   scope         the caller's, until the end.
 *   result        may be NULL.
 *   exits         never.
 *   repeatable    yes. Each end stops the program and looks at its whole memory.
 *   check at exit not affected: what the scope leaked is reported there again.
 */
int standstill_scope_begin(struct standstill_scope *scope);
int standstill_scope_end(struct standstill_scope *scope, struct standstill_check_result *result);

/* -------------------------------------------------------------------------------- why an object is alive */

/* What holds a word. */
enum standstill_holder {
  STANDSTILL_OBJECT = 1,          /* an object of the heap */
  STANDSTILL_GLOBAL = 2,          /* writable data of the program or of a library */
  STANDSTILL_STACK = 3,           /* the stack of a thread */
  STANDSTILL_REGISTER = 4,        /* a register of a thread; has no address */
  STANDSTILL_THREAD_LOCAL = 5,    /* thread-local variables */
  STANDSTILL_THREAD_SPECIFIC = 6, /* values of pthread_setspecific() */
  STANDSTILL_ROOT_REGION = 7,     /* a region that the program registered */
  STANDSTILL_KERNEL = 8,          /* the kernel: epoll data, a timer, a queued signal; has no address */
  STANDSTILL_IN_TRANSIT = 9,      /* a thread inside malloc, realloc or free; has no address */
  STANDSTILL_MAPPING = 10,        /* memory from mmap() */
  STANDSTILL_IGNORED = 11,        /* nothing: standstill_ignore_object() or standstill_disable() keeps the object */
  STANDSTILL_KEPT = 12            /* the C library or the kernel, for a stack for signals or thread-local memory */
};

/* Bits of standstill_step.flags. */
#define STANDSTILL_STEP_DOUBTFUL UINT32_C(1) /* what only this holds is "possible": it may be stale or unreachable */

/* A word that points to an object, and what holds that word. */
struct standstill_step {
  uint32_t holder;   /* enum standstill_holder */
  int32_t thread;    /* whose stack, register or thread-local memory, by gettid(); 0 = nobody's */
  uintptr_t base;    /* where the holder begins; 0 = it has no address */
  size_t bytes;      /* how large it is */
  uintptr_t word_at; /* where in the holder the word lies; 0 = it has no address */
  uintptr_t word;    /* the word: a pointer into the next step's holder, and of the last step into the object, perhaps in
                        a form that an option asks for (pointer_mask and its like), where the step is doubtful */
  uintptr_t frame;   /* in a stack: an address in the function whose frame holds the word; 0 = not known */
  uint32_t flags;    /* STANDSTILL_STEP_... */
  uint32_t reserved;
};

/* Room for steps, and what came out. */
struct standstill_chain {
  size_t size;      /* sizeof(struct standstill_chain) */
  size_t step_size; /* sizeof(struct standstill_step) */
  struct standstill_step *steps; /* where steps go; NULL with capacity 0 */
  size_t capacity;               /* for how many there is room */
  size_t count;                  /* out: how many there are, which may be more than there is room for */
  uintptr_t object;              /* out: where the object begins */
  size_t object_bytes;           /* out: its size */
};
#define STANDSTILL_CHAIN_INIT(steps, capacity) \
  { sizeof(struct standstill_chain), sizeof(struct standstill_step), (steps), (capacity), 0, 0, 0 }

/*
 * int standstill_explain(const void *object, struct standstill_chain *chain)
 *   Who keeps this object alive: the shortest chain of words from a root to the object that `object` points into (its
 *   start or its inside). The first step is the root, the last one holds a pointer to the object. Each step is as the
 *   stopped program had it; when the function returns, all threads run again.
 *   returns       STANDSTILL_CLEAN: something holds it, and `chain` says how; if a step is doubtful, a check would call
 *                 it possible. STANDSTILL_LEAKS: nothing does, and `count` is 0. STANDSTILL_NO_OBJECT,
 *                 STANDSTILL_COULD_NOT_CHECK, STANDSTILL_BAD_ARGUMENT: nothing was written.
 *   chain         may be NULL. The first `capacity` steps are written.
 *   exits         never.
 *   repeatable    yes; each call stops the program and looks at its whole memory.
 *   check at exit not affected.
 *   The pointer that is passed may be on the caller's stack or in a register, and then is itself the answer; and so may
 *   be what an earlier call wrote to `steps`.
 */
int standstill_explain(const void *object, struct standstill_chain *chain);

/*
 * int standstill_referrers(const void *object, struct standstill_chain *chain)
 *   Who points here: every word in roots, mappings and objects, also in lost ones, that points into the object that
 *   `object` points into. Each step is one word; they do not depend on each other. Words inside the object itself do
 *   not count.
 *   returns       STANDSTILL_CLEAN: there are some. STANDSTILL_LEAKS: there is none. Otherwise as standstill_explain().
 *   chain, exits, repeatable, check at exit: as standstill_explain().
 */
int standstill_referrers(const void *object, struct standstill_chain *chain);

/* ------------------------------------------------------------------------------------ what is no leak */

/*
 * void standstill_disable(void); void standstill_enable(void)
 *   What the calling thread allocates between the two is never a leak, and neither is anything that can be reached from
 *   it. Pairs nest. Other threads, also those created in between, are not affected.
 *   exits         disable never; enable without a disable before it is a bug in the program: one line is printed and the
 *                 process ends with the status of `exitcode`.
 *   repeatable    yes.
 *   check at exit follows it.
 */
void standstill_disable(void);
void standstill_enable(void);

/*
 * void standstill_ignore_object(const void *object)
 *   The heap object that `object` points into (its start or its inside), and what can be reached from it, is never a
 *   leak. The mark goes with the object: free() removes it, realloc() keeps it. A pointer into no heap object does
 *   nothing (verbosity=1 says so).
 *   exits         never.
 *   repeatable    yes.
 *   check at exit follows it.
 */
void standstill_ignore_object(const void *object);

/*
 * void standstill_register_root_region(const void *start, size_t size)
 * void standstill_unregister_root_region(const void *start, size_t size)
 *   The bytes [start, start + size) are searched for pointers, as global variables are, in every check until the region
 *   is unregistered with the same start and size. Registered twice means unregistered twice. Parts that are not mapped
 *   or not readable at a check are passed over. The memory stays the caller's.
 *   exits         registering an empty region or one that wraps around the address space, and unregistering one that is
 *                 not registered, are bugs in the program: one line is printed and the process ends with the status of
 *                 `exitcode`.
 *   repeatable    yes.
 *   check at exit follows it.
 */
void standstill_register_root_region(const void *start, size_t size);
void standstill_unregister_root_region(const void *start, size_t size);

/* ----------------------------------------------------------------------------------------- thread dump */

/*
 * int standstill_dump_threads(int fd)
 *   Prints what each thread is doing: name, system call or state, processor time, address of its thread-local storage,
 *   signals blocked and waiting, call stack. With functions and lines where the command standstill is found.
 *   The option `dump_signal` does the same when that signal arrives.
 *   fd            where to; -1 = where reports go. Stays open.
 *   result code   STANDSTILL_DONE; STANDSTILL_INCOMPLETE (some thread could not be stopped or read);
 *                 STANDSTILL_COULD_NOT_CHECK (nothing printed, or not all of it, but one line where reports go, which says
 *                 why).
 *   exits         never.
 *   repeatable    yes.
 *   check at exit not affected.
 */
int standstill_dump_threads(int fd);

/* ------------------------------------------------------------------------------------------- core file */

/* What standstill_write_core wrote. */
struct standstill_core_result {
  size_t size;                        /* sizeof(struct standstill_core_result); set by the caller, not changed */
  uint64_t threads;                   /* threads in the file */
  uint64_t threads_without_registers; /* of them, those whose registers could not be had whole */
  uint64_t bytes;                     /* bytes of memory written; pages that were never touched are holes */
  uint64_t unreadable_bytes;          /* bytes that could not be read and are zero in the file */
  uint64_t pause_ns;                  /* how long the other threads stood still, in nanoseconds; 0 if there were none */
};
#define STANDSTILL_CORE_RESULT_INIT { sizeof(struct standstill_core_result), 0, 0, 0, 0, 0 }

/*
 * int standstill_write_core(const char *path, struct standstill_core_result *result)
 * int standstill_write_core_fd(int fd, struct standstill_core_result *result)
 *   Writes an ELF core file of this process as it is now, for `gdb PROGRAM CORE`: each thread's registers, all memory
 *   that was ever written to, the files that are mapped. The process stands still while it is written, and goes on.
 *   path          created with mode 0600, or emptied.
 *   fd            written from where it stands; a regular file is cut off there first and becomes sparse, others and a file
 *                 that was opened with O_APPEND get zeros for holes. Stays open.
 *                 The reader of a pipe must be another process: threads of this one stand still.
 *   result        as of standstill_check_recoverable; written when the code is STANDSTILL_DONE or STANDSTILL_INCOMPLETE.
 *   result code   STANDSTILL_DONE; STANDSTILL_INCOMPLETE (some thread or memory is missing, see result);
 *                 STANDSTILL_COULD_NOT_CHECK (no whole file; one line where reports go says why); STANDSTILL_BAD_ARGUMENT.
 *   exits         never.
 *   repeatable    yes.
 *   check at exit not affected.
 */
int standstill_write_core(const char *path, struct standstill_core_result *result);
int standstill_write_core_fd(int fd, struct standstill_core_result *result);

/* -------------------------------------------------------------------------------------- stopping the world */

/* The stopped world, as the callback of standstill_stop_the_world() sees it. */
struct standstill_world;

/* Bits of standstill_stop_options.flags. */
#define STANDSTILL_STOP_SNAPSHOT UINT32_C(1) /* the callback runs on a copy (fork), all threads running again */
#define STANDSTILL_STOP_STACKS UINT32_C(2)   /* records have stack_end; costs a look at /proc/self/maps */

/* How to stop. All fields zero (but `size`) is the default. */
struct standstill_stop_options {
  size_t size;               /* sizeof(struct standstill_stop_options) */
  uint32_t flags;            /* STANDSTILL_STOP_..., or 0 */
  uint32_t means;            /* 0 = ptrace, and a signal where that is refused; 1 = only ptrace; 2 = only the signal */
  uint32_t deadline_ms;      /* after which the stop goes on with the threads it has; 0 = the option `deadline_ms` */
  uint32_t work_deadline_ms; /* after which the callback is ended by force; 0 = two minutes */
};
#define STANDSTILL_STOP_OPTIONS_INIT { sizeof(struct standstill_stop_options), 0, 0, 0, 0 }

/* How a thread came to stand still: values of standstill_thread.stop. */
enum standstill_thread_stop {
  STANDSTILL_THREAD_CALLER = 1,        /* it called standstill_stop_the_world(); its registers are those at that call */
  STANDSTILL_THREAD_INTERRUPTED = 2,   /* in user mode or in a system call */
  STANDSTILL_THREAD_GROUP_STOPPED = 3, /* by job control, before; it will go on standing */
  STANDSTILL_THREAD_SIGNALLED = 4,     /* about to receive a signal, which it will when the world goes on */
  STANDSTILL_THREAD_CLONING = 5,       /* inside clone or vfork, the new task made */
  STANDSTILL_THREAD_RUNNING = 6,       /* it did not stop in time; little is known of it */
  STANDSTILL_THREAD_VFORK_PARENT = 7,  /* it waits for its vfork child, which stands still and has a record too */
  STANDSTILL_THREAD_KERNEL_WORKER = 8  /* a thread of the kernel's own (io_uring), without a user stack */
};

/* Bits of standstill_thread.had: what of a record is known. The rest is zero. */
#define STANDSTILL_HAD_GENERAL UINT32_C(1)  /* all general registers. Of the caller only those that a call keeps */
#define STANDSTILL_HAD_EXTENDED UINT32_C(2) /* the extended state */
#define STANDSTILL_HAD_BLOCKED UINT32_C(4)  /* the signals that it blocks; of the caller, before the call */
#define STANDSTILL_HAD_PENDING UINT32_C(8)  /* the signals that wait for it */
#define STANDSTILL_HAD_NAME UINT32_C(16)    /* its name, as it is when the record is asked for */
#define STANDSTILL_HAD_STACK UINT32_C(32)   /* stack_end */

/* One thread of the stopped world. Pointers are good until the callback returns. */
struct standstill_thread {
  size_t size;        /* sizeof(struct standstill_thread); set by the caller, not changed */
  int32_t tid;        /* gettid() */
  int32_t listed_tid; /* as /proc numbers it: differs where /proc belongs to an outer pid namespace */
  uint32_t stop;      /* enum standstill_thread_stop */
  uint32_t had;       /* STANDSTILL_HAD_... */
  char name[16];      /* ends with a zero */
  uint64_t pending;   /* signals that wait for this thread: bit n - 1 is signal n */
  uint64_t blocked;   /* signals that it blocks */
  uintptr_t tls_base; /* the thread pointer; 0 = not known */
  uintptr_t stack_pointer; /* 0 = not known */
  uintptr_t pc;            /* where it goes on; 0 = not known */
  uintptr_t stack_end;     /* the stack reaches from stack_pointer (and the red zone below it) up to here */
  int64_t system_call;     /* the number of the system call that it is inside; -1 = in none */
  const uintptr_t *general; /* the general registers as ptrace has them in NT_PRSTATUS (struct user_regs_struct) */
  size_t general_words;
  const void *extended; /* the extended state as ptrace has it (NT_X86_XSTATE, NT_FPREGSET), without trailing zeros */
  size_t extended_bytes;
};
#define STANDSTILL_THREAD_INIT \
  { sizeof(struct standstill_thread), 0, 0, 0, 0, {0}, 0, 0, 0, 0, 0, 0, 0, NULL, 0, NULL, 0 }

/*
 * int standstill_stop_the_world(const struct standstill_stop_options *options,
 *                               void (*callback)(const struct standstill_world *world, void *user), void *user)
 *   Stops every other thread of the process, calls `callback` once, and lets all go on; then returns.
 *   options       how; NULL = STANDSTILL_STOP_OPTIONS_INIT. Not kept.
 *   callback      runs in a helper, a task of its own that shares all memory, on a stack of 1 MiB, all signals blocked; in
 *                 a process with one thread that has a seccomp filter, on that thread. A stopped thread may hold any lock, also malloc's. So it may
 *                 call the functions of this section, read memory that is there, write to memory that the caller
 *                 prepared, and make raw system calls by instructions of its own. It may NOT allocate or free, use
 *                 stdio, throw, touch errno or thread-local variables (the helper has those of the caller), call what
 *                 may take a lock, or use descriptors of the program: it has none of them. It must return.
 *                 With STANDSTILL_STOP_SNAPSHOT it runs in a process of its own, on a copy of the memory as it was,
 *                 while the program runs again; the same rules hold. Nothing that it writes is seen by the program but
 *                 in memory from mmap(MAP_SHARED). Memory with MADV_DONTFORK is not there, and shared memory is as the
 *                 program has it by then.
 *   returns       STANDSTILL_DONE: every thread stood still and was read. STANDSTILL_INCOMPLETE: some did not, see their
 *                 records. STANDSTILL_COULD_NOT_CHECK: the callback did not run to its end, one line where reports go
 *                 says why; all threads run. STANDSTILL_BAD_ARGUMENT: nothing was done.
 *   exits         never. A crash of the callback ends the helper, not the program; only where it runs on the calling thread
 *                 (see above) a crash ends the program, and work_deadline_ms is not heeded.
 *   repeatable    yes. A second stop at the same time waits for the first.
 *   check at exit not affected.
 */
int standstill_stop_the_world(const struct standstill_stop_options *options,
                              void (*callback)(const struct standstill_world *world, void *user), void *user);

/*
 * size_t standstill_thread_count(const struct standstill_world *world)
 * int standstill_thread_at(const struct standstill_world *world, size_t index, struct standstill_thread *thread)
 * int standstill_thread_by_tid(const struct standstill_world *world, int32_t tid, struct standstill_thread *thread)
 * int standstill_thread_next(const struct standstill_world *world, int32_t tid, struct standstill_thread *thread)
 *   The records of the threads: how many; by index, the caller first; by gettid(); and the one with the next higher id
 *   (as NetBSD's PT_LWPNEXT; 0 gives the lowest). For the callback only.
 *   thread        `thread->size` must be set (STANDSTILL_THREAD_INIT). Written when the result is STANDSTILL_DONE.
 *   returns       STANDSTILL_DONE, STANDSTILL_NO_OBJECT (no such thread), STANDSTILL_BAD_ARGUMENT.
 *   exits, repeatable, check at exit: never, yes, not affected.
 */
size_t standstill_thread_count(const struct standstill_world *world);
int standstill_thread_at(const struct standstill_world *world, size_t index, struct standstill_thread *thread);
int standstill_thread_by_tid(const struct standstill_world *world, int32_t tid, struct standstill_thread *thread);
int standstill_thread_next(const struct standstill_world *world, int32_t tid, struct standstill_thread *thread);

/*
 * size_t standstill_signal_count(const struct standstill_world *world)
 * int standstill_signal_at(const struct standstill_world *world, size_t index, int32_t *tid, void *info)
 *   Signals that wait to be delivered. For the callback only. None where ptrace was not used, as in a process with one
 *                 thread, and none that was sent to the calling thread itself: its record has their set.
 *   tid           receives the thread that it was sent to, 0 for the process; may be NULL.
 *   info          receives its siginfo_t (128 bytes); may be NULL.
 *   returns       STANDSTILL_DONE, STANDSTILL_NO_OBJECT (no such signal), STANDSTILL_BAD_ARGUMENT.
 *   exits, repeatable, check at exit: never, yes, not affected.
 */
size_t standstill_signal_count(const struct standstill_world *world);
int standstill_signal_at(const struct standstill_world *world, size_t index, int32_t *tid, void *info);

/*
 * size_t standstill_read_words(const struct standstill_world *world, uintptr_t address, uintptr_t *words, size_t count)
 *   Copies words of memory that may not be there. For the callback only. Returns how many were read before the first that
 *   cannot be. `address` is a multiple of the word size.
 *   exits, repeatable, check at exit: never, yes, not affected.
 */
size_t standstill_read_words(const struct standstill_world *world, uintptr_t address, uintptr_t *words, size_t count);

/* ------------------------------------------------------------------------------------------ the library */

/*
 * uint32_t standstill_version(void)
 *   The STANDSTILL_VERSION of the library that is running, to compare with that of this header.
 *   Async-signal-safe. Never exits, repeatable, no effect on any check.
 */
uint32_t standstill_version(void);

/* -------------------------------------------------------------------------------- hooks of the program */

/*
 * Functions that the program may define; the library calls them if they are there. They have LSan's names, so that a
 * program written for LSan needs no change. Under LD_PRELOAD the library sees those of the executable only if it exports
 * them (-rdynamic). They are called early, possibly before main and before constructors have run: they must not
 * allocate. Strings that they return are not freed and must stay valid.
 */
int __lsan_is_turned_off(void);                /* not 0: no check in this process. Asked before each check and scope */
const char *__lsan_default_options(void);      /* read once at start, before STANDSTILL_OPTIONS and LSAN_OPTIONS */
const char *__lsan_default_suppressions(void); /* lines `leak:PATTERN`; read once, when the first leak was found */

#ifdef __cplusplus
} /* extern "C" */

#if __cplusplus >= 201103L
namespace standstill {

/*
 * A leak scope that ends with its block:
 *     {
 *       standstill::LeakScope scope;
 *       run_the_code_under_test();
 *       EXPECT_TRUE(scope.clean());
 *     }
 * Lives on the stack, and ends on the thread that made it.
 */
class LeakScope {
 public:
  explicit LeakScope(uint32_t flags = 0) {
    scope_.flags = flags;
    code_ = standstill_scope_begin(&scope_);
    open_ = code_ == STANDSTILL_CLEAN;
  }
  /* Ends the scope if nobody has: the report then is all that tells of leaks. */
  ~LeakScope() { end(); }
  LeakScope(const LeakScope &) = delete;
  LeakScope &operator=(const LeakScope &) = delete;

  /* Ends the scope at the first call and returns its enum standstill_code then, and at later ones. */
  int end(struct standstill_check_result *result = nullptr) {
    if (open_) {
      open_ = false;
      code_ = standstill_scope_end(&scope_, result);
    }
    return code_;
  }
  /* True if nothing is leaked, and where checks are off. False also when no answer could be had: one line says why. */
  bool clean() { return end() == STANDSTILL_CLEAN || code_ == STANDSTILL_TURNED_OFF; }

 private:
  struct standstill_scope scope_ = STANDSTILL_SCOPE_INIT;
  int code_;
  bool open_;
};

} /* namespace standstill */
#endif
#endif

#endif /* STANDSTILL_H */
