/* A program that gives checks a hard time: threads come and go with blocks in hand, a storm of queued signals, children by
 * fork and by vfork and exec, pipes full of bytes, and at its end, if it is asked to, an exec by a thread under a check.
 *
 * usage: soak SECONDS exit|exec
 * Checks follow one another all the time. The program itself says what went wrong, and then ends with 99; a false leak is
 * one of these things.
 *
 * prints: checks, threads, signals, children
 */
#include "bench.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/wait.h>

enum { CHURNERS = 12, SLOTS = 64 };

static atomic_int stop, execing;
static atomic_long threads, signals, children, checks;
static check_fn check;

static int running(void) { return !atomic_load(&stop); }

static void wrong(const char *what, long value) {
  fprintf(stderr, "soak: %s: %ld, errno %d\n", what, value, errno);
  _exit(99);
}

/* ---- Threads that come and go, and hold the only pointers to chains of blocks. */

struct node {
  struct node *next;
  long value;
};

static void *short_lived(void *seed) {
  uint64_t state = (uint64_t)(uintptr_t)seed | 1;
  struct node *slots[SLOTS] = {NULL};
  for (int round = 0; round < 500; round++) {
    struct node **slot = &slots[rng_next(&state) % SLOTS];
    if (rng_next(&state) % 3) {
      struct node *fresh = must(malloc(sizeof *fresh + rng_next(&state) % 2000));
      fresh->next = *slot;
      fresh->value = round;
      *slot = fresh;
    } else if (*slot) {
      struct node *gone = *slot;
      *slot = gone->next;
      free(gone);
    }
  }
  for (int i = 0; i < SLOTS; i++)
    while (slots[i]) {
      struct node *gone = slots[i];
      slots[i] = gone->next;
      free(gone);
    }
  return seed;
}

static void *churner(void *number) {
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 256 << 10);
  for (uintptr_t i = (uintptr_t)number; running(); i += CHURNERS) {
    pthread_t thread;
    int error = pthread_create(&thread, &small, short_lived, (void *)(i + 1));
    /* The kernel refuses a thread while another is inside execve (fs/exec.c, in_exec). */
    if (error == EAGAIN && atomic_load(&execing)) continue;
    if (error) wrong("pthread_create", error);
    void *result;
    if ((error = pthread_join(thread, &result))) wrong("pthread_join", error);
    if (result != (void *)(i + 1)) wrong("the result of a thread", (long)(uintptr_t)result);
    atomic_fetch_add(&threads, 1);
  }
  return number;
}

/* ---- Queued signals: each arrives once, in order, while their thread waits in a call that they interrupt. */

static atomic_long expected;

static void in_order(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)context;
  if (info->si_value.sival_int != (int)atomic_fetch_add(&expected, 1)) wrong("a signal out of order", info->si_value.sival_int);
}

static void *handles(void *unused) {
  struct epoll_event event;
  int epoll = epoll_create1(0);
  while (running()) {
    long before = atomic_load(&expected);
    int result = epoll_wait(epoll, &event, 1, 1000);
    /* Only a signal of ours ends it early. */
    if (result < 0 && (errno != EINTR || atomic_load(&expected) == before)) wrong("epoll_wait without a signal", result);
  }
  close(epoll);
  return unused;
}

static void *sends(void *target) {
  for (int next = 0; running();) {
    union sigval value = {.sival_int = next};
    int error = pthread_sigqueue(*(pthread_t *)target, SIGRTMIN + 1, value);
    if (error == EAGAIN) continue;
    if (error) wrong("pthread_sigqueue", error);
    next++;
    atomic_store(&signals, next);
    if (next % 16 == 0) usleep(400);
  }
  return target;
}

/* ---- Children. */

static void *forks(void *unused) {
  for (int i = 0; running(); i++) {
    pid_t child = fork();
    if (child < 0) wrong("fork", child);
    if (child == 0) {
      void *volatile block = must(malloc(1000));
      /* What it finds does not count: blocks of threads that did not come along are lost here. */
      if (i % 4 == 0) check();
      free(block);
      _exit(7);
    }
    int status;
    pid_t got = waitpid(child, &status, 0);
    if (got != child || !WIFEXITED(status) || WEXITSTATUS(status) != 7) wrong("a forked child", status);
    atomic_fetch_add(&children, 1);
    usleep(3000);
  }
  return unused;
}

static void *vforks(void *unused) {
  while (running()) {
    pid_t child = vfork();
    if (child == 0) {
      execv("/bin/true", (char *[]){"true", NULL});
      _exit(98);
    }
    int status;
    pid_t got = waitpid(child, &status, 0);
    if (got != child || status) wrong("a vfork child", status);
    atomic_fetch_add(&children, 1);
    usleep(2000);
  }
  return unused;
}

/* ---- Bytes through a pipe: writes are whole, nothing is lost. */

static int ends[2];

static void *writes(void *unused) {
  enum { BIG = 200 << 10 };
  unsigned char *bytes = must(malloc(BIG));
  for (long total = 0; running(); total += BIG) {
    for (long i = 0; i < BIG; i++) bytes[i] = (unsigned char)((total + i) % 251);
    long done = write(ends[1], bytes, BIG);
    if (done != BIG) wrong("a short write", done);
  }
  free(bytes);
  close(ends[1]);
  return unused;
}

static void *reads(void *unused) {
  unsigned char bytes[4096];
  long total = 0;
  for (long n; (n = read(ends[0], bytes, sizeof bytes)) != 0;) {
    if (n < 0) wrong("read", n);
    for (long i = 0; i < n; i++, total++)
      if (bytes[i] != total % 251) wrong("a byte of the pipe", total);
    usleep(100);
  }
  return unused;
}

static void *checker(void *unused) {
  while (running()) {
    if (check()) wrong("a false leak", 1);
    atomic_fetch_add(&checks, 1);
    usleep((useconds_t)(atomic_load(&checks) % 7) * 1000);
  }
  return unused;
}

static void *execs(void *unused) {
  execv("/bin/true", (char *[]){"true", NULL});
  wrong("exec", -1);
  return unused;
}

int main(int argc, char **argv) {
  if (argc != 3) die("usage: soak SECONDS exit|exec");
  check = check_function();
  if (!check) die("no leak checker in this process");
  struct sigaction action = {.sa_sigaction = in_order, .sa_flags = SA_SIGINFO};
  sigaction(SIGRTMIN + 1, &action, NULL);
  if (pipe(ends)) die("pipe");
  pthread_t all[CHURNERS + 8], receiver;
  int count = 0;
  if (pthread_create(&receiver, NULL, handles, NULL)) die("pthread_create");
  for (uintptr_t i = 0; i < CHURNERS; i++)
    if (pthread_create(&all[count++], NULL, churner, (void *)i)) die("pthread_create");
  void *(*const bodies[])(void *) = {forks, vforks, writes, reads, checker};
  for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
    if (pthread_create(&all[count++], NULL, bodies[i], NULL)) die("pthread_create");
  if (pthread_create(&all[count++], NULL, sends, &receiver)) die("pthread_create");
  uint64_t end = wall_ns() + strtoull(argv[1], NULL, 10) * 1000000000u;
  while (wall_ns() < end) usleep(20000);
  printf("checks=%ld threads=%ld signals=%ld children=%ld\n", atomic_load(&checks), atomic_load(&threads),
         atomic_load(&signals), atomic_load(&children));
  fflush(stdout);
  if (!strcmp(argv[2], "exec")) {
    /* All others go on: checks, forks and signals fall into it. */
    atomic_store(&execing, 1);
    pthread_t last;
    if (pthread_create(&last, NULL, execs, NULL)) die("pthread_create");
    for (;;) pause();
  }
  atomic_store(&stop, 1);
  for (int i = 0; i < count; i++)
    if (pthread_join(all[i], NULL)) die("pthread_join");
  if (pthread_join(receiver, NULL)) die("pthread_join");
  if (atomic_load(&expected) != atomic_load(&signals)) wrong("signals that did not arrive", atomic_load(&signals) - atomic_load(&expected));
  return 0;
}
