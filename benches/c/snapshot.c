/* What a check of a running program costs a thread that has other things to do.
 *
 * usage: snapshot graph|list|words|untouched AMOUNT pause|writer ROUNDS
 *   pause   a thread stamps the clock all the time: the longest gap during a check, beside the least that a check on a
 *           snapshot can do: a bare loop that stops the threads by ptrace, and a bare fork
 *   writer  a thread writes to every page of the heap, again and again: time lost by it from the begin of a check until
 *           its page copies are paid, beside what it loses by a bare fork whose child lives as long as the check took
 * Without a checker only the yardsticks are measured.
 *
 * prints (medians): ms of the yardstick (bare) and of the check: pause: bare_ms, pause_ms, stop_ms, fork_ms, check_ms;
 *   writer: bare_ms, lost_ms, check_ms, pages
 */
#include "heaps.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static _Atomic uint64_t longest, written;
static _Atomic int go;

static void *stamp(void *arg) {
  for (uint64_t last = wall_ns();;) {
    uint64_t now = wall_ns();
    if (now - last > atomic_load_explicit(&longest, memory_order_relaxed)) atomic_store(&longest, now - last);
    last = now;
  }
  return arg;
}

static void *write_all(void *arg) {
  for (uint64_t round = 1;; round++)
    for (size_t i = 0; i < page_count; i++) {
      *(volatile uint64_t *)~hidden_pages[i] = round;
      atomic_fetch_add_explicit(&written, 1, memory_order_relaxed);
    }
  return arg;
}

/* In a task that shares our memory: stops every other thread of the process, lets go by its end. */
static int tracer(void *arg) {
  pid_t target = *(pid_t *)arg, tids[16];
  char path[64];
  int n = 0;
  snprintf(path, sizeof path, "/proc/%d/task", target);
  DIR *folder = opendir(path);
  for (struct dirent *e; folder && (e = readdir(folder)) && n < 16;)
    if (e->d_name[0] != '.' && atoi(e->d_name) != target) tids[n++] = atoi(e->d_name);
  if (folder) closedir(folder);
  for (int i = 0; i < n; i++)
    if (ptrace(PTRACE_SEIZE, tids[i], 0, 0) || ptrace(PTRACE_INTERRUPT, tids[i], 0, 0)) return 1;
  for (int i = 0; i < n; i++) waitpid(tids[i], NULL, __WALL);
  return 0;
}

static double bare_stop(void) {
  static char stack[64 << 10] __attribute__((aligned(16)));
  pid_t self = getpid();
  int status = 1;
  atomic_store(&longest, 0);
  pid_t pid = clone(tracer, stack + sizeof stack, CLONE_VM, &self);
  if (pid < 0 || waitpid(pid, &status, __WALL) != pid || status) die("the bare stop failed");
  usleep(1000);
  return (double)atomic_load(&longest) / 1e6;
}

static double bare_fork(long live_us) {
  uint64_t t0 = wall_ns();
  long pid = syscall(SYS_clone, 0, 0, 0, 0, 0);
  if (pid == 0) {
    struct timespec t = {live_us / 1000000, live_us % 1000000 * 1000};
    if (live_us) syscall(SYS_nanosleep, &t, NULL);
    syscall(SYS_exit_group, 0);
  }
  double ms = (double)(wall_ns() - t0) / 1e6;
  if (pid < 0 || waitpid((pid_t)pid, NULL, __WALL) != pid) die("fork");
  return ms;
}

/* Runs `what`, then lets the writer make one round more, in which it pays for copies that are still due. The time that it
 * needed beyond `page_ns` a page, in milliseconds. */
static double lost_by_writer(double page_ns, void (*what)(void)) {
  uint64_t before = atomic_load(&written), t0 = wall_ns();
  what();
  uint64_t target = atomic_load(&written) + page_count;
  while (atomic_load(&written) < target) usleep(50);
  double took = (double)(wall_ns() - t0), due = (double)(atomic_load(&written) - before) * page_ns;
  return (took - due) / 1e6;
}

static check_fn check;
static int false_leaks;
static double check_ms;
static void one_check(void) {
  uint64_t t0 = wall_ns();
  false_leaks += check() != 0;
  check_ms = (double)(wall_ns() - t0) / 1e6;
}
static void one_fork(void) { bare_fork((long)(check_ms * 1000)); }
static void nothing(void) { usleep(20000); }

int main(int argc, char **argv) {
  if (argc != 5) die("usage: snapshot graph|list|words|untouched AMOUNT pause|writer ROUNDS");
  int rounds = atoi(argv[4]), writer = !strcmp(argv[3], "writer");
  double stop[64], fork_ms[64], pause[64], bare[64], lost[64], checks[64], page[64];
  if (rounds < 1 || rounds > 64) die("1 to 64 rounds");
  check = check_function();
  want_pages = writer;
  build_heap(argv[1], (size_t)atol(argv[2]));
  prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
  if (writer && page_count == 0) die("nothing to write to");
  pthread_t thread;
  if (pthread_create(&thread, NULL, writer ? write_all : stamp, NULL)) die("pthread_create");
  usleep(200000);
  for (int i = 0; i < rounds; i++) {
    checks[i] = 0;
    if (writer) {
      if (!check) check_ms = 200;
      /* The undisturbed pace, just before. */
      uint64_t w0 = atomic_load(&written), t0 = wall_ns();
      nothing();
      while (atomic_load(&written) < w0 + page_count) usleep(50);
      page[i] = (double)(wall_ns() - t0) / (double)(atomic_load(&written) - w0);
      if (check) {
        lost[i] = lost_by_writer(page[i], one_check);
        checks[i] = check_ms;
      }
      bare[i] = lost_by_writer(page[i], one_fork);
    } else {
      stop[i] = bare_stop();
      fork_ms[i] = bare_fork(0);
      bare[i] = stop[i] + fork_ms[i];
      atomic_store(&longest, 0);
      if (check) {
        one_check();
        checks[i] = check_ms;
        pause[i] = (double)atomic_load(&longest) / 1e6;
      }
    }
    usleep(20000);
  }
  double yardstick = median(bare, rounds);
  if (writer) printf("bare_ms=%.3f page_ns=%.0f pages=%zu", yardstick, median(page, rounds), page_count);
  else printf("bare_ms=%.3f stop_ms=%.3f fork_ms=%.3f", yardstick, median(stop, rounds), median(fork_ms, rounds));
  if (check) {
    double ours = writer ? median(lost, rounds) : median(pause, rounds);
    printf(" %s=%.3f ratio=%.3f check_ms=%.1f false_leaks=%d", writer ? "lost_ms" : "pause_ms", ours, ours / yardstick,
           median(checks, rounds), false_leaks);
  }
  printf("\n");
  fflush(stdout);
  KEEP(root);
  _exit(0);
}
