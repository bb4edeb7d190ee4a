// standstill_stop_the_world shows each thread with its registers, names, signals and stack, in place and on a snapshot, by ptrace and by signal.
// FLAGS: -pthread
// EXPECT: clean
// EXPECT: clean
// ARGS: snapshot
// EXPECT: clean
// ARGS: signal
#include "support.h"

#include "standstill.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { THREADS = 5 };
struct seen {
  int calls, threads, callers, by_tid, signals, value, ended;
  int32_t tids[THREADS + 1], by_order[THREADS + 1];
  uint32_t had[THREADS + 1], stop[THREADS + 1];
  uint64_t blocked[THREADS + 1], pending[THREADS + 1];
  uintptr_t stack_pointer[THREADS + 1], stack_end[THREADS + 1], counter, word;
  char name[THREADS + 1][16];
};
static struct seen *seen; /* shared memory: a snapshot has no other way to tell */
static volatile int ready;
static volatile uintptr_t counter;
static int32_t tids[THREADS];
static uintptr_t locals[THREADS];
static uintptr_t probe = 4242;

static void *body(void *argument) {
  int self = (int)(intptr_t)argument;
  volatile int local = 0;
  char name[16];
  sigset_t set;
  snprintf(name, sizeof name, "worker-%d", self);
  pthread_setname_np(pthread_self(), name);
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN + 1);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  tids[self] = own_tid();
  locals[self] = (uintptr_t)&local;
  __atomic_fetch_add(&ready, 1, __ATOMIC_RELEASE);
  if (self == 0)
    for (;;) counter = counter + 1;
  for (;;) pause();
  return NULL;
}

static void look(const struct standstill_world *world, void *user) {
  struct seen *into = (struct seen *)user;
  struct standstill_thread thread = STANDSTILL_THREAD_INIT;
  into->calls++;
  into->threads = (int)standstill_thread_count(world);
  for (int i = 0; i <= THREADS; i++) {
    if (standstill_thread_at(world, (size_t)i, &thread) != STANDSTILL_DONE) return;
    into->tids[i] = thread.tid;
    into->had[i] = thread.had;
    into->stop[i] = thread.stop;
    into->blocked[i] = thread.blocked;
    into->pending[i] = thread.pending;
    into->stack_pointer[i] = thread.stack_pointer;
    into->stack_end[i] = thread.stack_end;
    for (int c = 0; c < 16; c++) into->name[i][c] = thread.name[c];
    into->callers += thread.stop == STANDSTILL_THREAD_CALLER;
    int32_t tid = thread.tid;
    into->by_tid += standstill_thread_by_tid(world, tid, &thread) == STANDSTILL_DONE && thread.tid == tid;
  }
  int at = 0;
  for (int32_t tid = 0; standstill_thread_next(world, tid, &thread) == STANDSTILL_DONE && at <= THREADS; tid = thread.tid)
    into->by_order[at++] = thread.tid;
  siginfo_t info;
  for (size_t i = 0; i < standstill_signal_count(world); i++) {
    int32_t tid;
    if (standstill_signal_at(world, i, &tid, &info) == STANDSTILL_DONE && tid == tids[1] &&
        info.si_signo == SIGRTMIN + 1) {
      into->signals++;
      into->value = info.si_value.sival_int;
    }
  }
  uintptr_t words[2] = {0, 0};
  into->ended = standstill_thread_at(world, 1000, &thread) == STANDSTILL_NO_OBJECT &&
                standstill_read_words(world, 8, words, 1) == 0;
  if (standstill_read_words(world, (uintptr_t)&probe, words, 1) == 1) into->word = words[0];
  into->counter = counter;
  for (volatile int i = 0; i < 3000000; i++) {
  }
  into->counter -= counter;
}

int main(int count, char **arguments) {
  int snapshot = count > 1 && strcmp(arguments[1], "snapshot") == 0;
  int by_signal = count > 1 && strcmp(arguments[1], "signal") == 0;
  struct standstill_stop_options options = STANDSTILL_STOP_OPTIONS_INIT;
  seen = (struct seen *)mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(seen != MAP_FAILED);
  pthread_t threads[THREADS];
  for (intptr_t i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, body, (void *)i) == 0);
  while (__atomic_load_n(&ready, __ATOMIC_ACQUIRE) < THREADS) usleep(100);
  CHECK(queue_signal(tids[1], SIGRTMIN + 1, 77) == 0);

  options.flags = STANDSTILL_STOP_STACKS | (snapshot ? STANDSTILL_STOP_SNAPSHOT : 0);
  options.means = by_signal ? 2 : 0;
  errno = 4242;
  int code = standstill_stop_the_world(&options, look, seen);
  CHECK(errno == 4242);
  CHECK(code == STANDSTILL_DONE);
  CHECK(seen->calls == 1 && seen->threads == THREADS + 1 && seen->callers == 1 && seen->by_tid == THREADS + 1);
  CHECK(seen->ended && seen->word == 4242 && seen->counter == 0);
  CHECK(seen->tids[0] == own_tid() && seen->stop[0] == STANDSTILL_THREAD_CALLER);
  for (int i = 0; i < THREADS; i++) CHECK(seen->by_order[i] < seen->by_order[i + 1]);
  CHECK(seen->signals == !by_signal && (by_signal || seen->value == 77));
  for (int i = 1; i <= THREADS; i++) {
    int number = 0;
    while (number < THREADS && tids[number] != seen->tids[i]) number++;
    CHECK(number < THREADS);
    char name[16];
    snprintf(name, sizeof name, "worker-%d", number);
    CHECK((seen->had[i] & STANDSTILL_HAD_NAME) && strcmp(seen->name[i], name) == 0);
    CHECK((seen->had[i] & STANDSTILL_HAD_GENERAL) && (seen->had[i] & STANDSTILL_HAD_EXTENDED));
    CHECK((seen->had[i] & STANDSTILL_HAD_BLOCKED) && (seen->blocked[i] >> SIGRTMIN & 1));
    CHECK((seen->had[i] & STANDSTILL_HAD_STACK) && seen->stack_pointer[i] <= locals[number] + 256);
    CHECK(seen->stack_end[i] > locals[number]);
    CHECK(((seen->had[i] & STANDSTILL_HAD_PENDING) != 0) == !by_signal);
    CHECK((seen->pending[i] >> SIGRTMIN & 1) == (number == 1 && !by_signal));
  }
  /* Nothing is done on bad arguments. */
  CHECK(standstill_stop_the_world(&options, NULL, seen) == STANDSTILL_BAD_ARGUMENT);
  options.means = 3;
  CHECK(standstill_stop_the_world(&options, look, seen) == STANDSTILL_BAD_ARGUMENT);
  CHECK(seen->calls == 1);
  return 0;
}
