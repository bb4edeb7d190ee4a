// What a program does in system calls, signals and processes goes on under checks as if there were none: no false EINTR, no lost one, no signal lost, doubled or out of order, no short transfer (preload), no late timeout (preload), no false leak.
// FLAGS: -pthread
// TIMEOUT: 120
// REFERENCE: gives one spurious EINTR a check and thread
// EXPECT-WITH deadline_ms=60000: clean
// EXPECT-WITH ptrace=0:deadline_ms=60000: clean
#include "support.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

extern int __lsan_do_recoverable_leak_check(void);

/* The number of checks is $TRANSPARENCY_CHECKS (40); 1000 take some minutes. */
static volatile int stop;
/* `wrapped`: the preload stands around libc's calls. `exact`: a stop always knows which call a thread is in. */
static int wrapped, exact, semaphores, messages, ring, locked;
static sem_t never;

static int running(void) { return !__atomic_load_n(&stop, __ATOMIC_ACQUIRE); }

static void start(void *(*body)(void *), void *argument, pthread_t *into) {
  pthread_t thread;
  pthread_attr_t small;
  CHECK(pthread_attr_init(&small) == 0 && pthread_attr_setstacksize(&small, 256 << 10) == 0);
  CHECK(pthread_create(into ? into : &thread, &small, body, argument) == 0);
  CHECK(pthread_attr_destroy(&small) == 0);
}

static void fail(const char *what, long result) {
  fprintf(stderr, "%s: returned %ld, errno %d\n", what, result, errno);
  semctl(semaphores, 0, IPC_RMID);
  msgctl(messages, IPC_RMID, NULL);
  _exit(99);
}

/* ---- A thread each sits in one call for the whole test: none may return. Plain system calls and libc's. */

static int timed_socket(int type) {
  struct timeval minutes = {600, 0};
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, type, 0);
  CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
  CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &minutes, sizeof minutes) == 0);
  CHECK(type != SOCK_STREAM || listen(fd, 1) == 0);
  return fd;
}

static long wait_in(int which) {
  struct epoll_event event;
  struct timespec minutes = {600, 0};
  struct sembuf down = {0, -1, 0};
  struct pollfd none = {-1, 0, 0};
  struct { long type; char text[8]; } message;
  struct iovec piece = {&message, 8};
  struct msghdr header = {.msg_iov = &piece, .msg_iovlen = 1};
  sigset_t set;
  int pipes[2];
  char bytes[64];
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  CHECK(pipe(pipes) == 0);
  switch (which) {
    case 0: return epoll_wait(epoll_create1(0), &event, 1, -1);
    case 1: return epoll_wait(epoll_create1(0), &event, 1, 600000);
    case 2: return syscall(SYS_epoll_pwait, epoll_create1(0), &event, 1, 600000, NULL, 8);
    case 3: return sigtimedwait(&set, NULL, &minutes);
    case 4: return sigwaitinfo(&set, NULL);
    case 5: return semtimedop(semaphores, &down, 1, &minutes);
    case 6: return semop(semaphores, &down, 1);
    case 7: return recvfrom(timed_socket(SOCK_DGRAM), bytes, 8, 0, NULL, NULL);
    case 8: return recvmsg(timed_socket(SOCK_DGRAM), &header, 0);
    case 9: return accept(timed_socket(SOCK_STREAM), NULL, NULL);
    case 10: return read(timed_socket(SOCK_DGRAM), bytes, 8);
    case 11: return msgrcv(messages, &message, 8, 0, 0);
    case 12: return poll(&none, 1, 600000);
    case 13: return ppoll(&none, 1, &minutes, NULL);
    case 14: return select(0, NULL, NULL, NULL, NULL);
    case 15: return nanosleep(&minutes, NULL);
    case 16: return clock_nanosleep(CLOCK_MONOTONIC, 0, &minutes, NULL);
    case 17: return read(inotify_init1(0), bytes, sizeof bytes);
    case 18: return read(eventfd(0, 0), bytes, 8);
    case 19: return read(timerfd_create(CLOCK_MONOTONIC, 0), bytes, 8);
    case 20: return read(pipes[0], bytes, 8);
    case 21: return sem_wait(&never);
    case 22: return flock(locked, LOCK_EX);
    case 23: return ring < 0 ? pause() : syscall(SYS_io_uring_enter, ring, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0);
    case 24: return syscall(SYS_futex, &none.fd, 0 /* FUTEX_WAIT */, -1, &minutes, NULL, 0);
    default: return pause();
  }
}
enum { CALLS = 26 };
static int sitting;

static void *sit(void *which) {
  __atomic_fetch_add(&sitting, 1, __ATOMIC_RELEASE);
  long result = wait_in((int)(intptr_t)which);
  if (running()) {
    char text[32];
    snprintf(text, sizeof text, "call %d", (int)(intptr_t)which);
    fail(text, result);
  }
  return NULL;
}

/* ---- Every signal with a handler makes its call fail with EINTR, exactly once. */

static volatile int handled;
static void on_usr1(int signal) { (void)signal, __atomic_fetch_add(&handled, 1, __ATOMIC_RELEASE); }
static int interrupted;

static void *interruptible(void *unused) {
  struct epoll_event event;
  sigset_t waiting;
  int epoll = epoll_create1(0);
  /* The signal comes nowhere but in the call. */
  CHECK(pthread_sigmask(SIG_SETMASK, NULL, &waiting) == 0 && sigdelset(&waiting, SIGUSR1) == 0);
  while (running()) {
    long result = epoll_pwait(epoll, &event, 1, -1, &waiting);
    if (!exact && handled == interrupted) continue;
    if (result >= 0 || errno != EINTR) fail("epoll_pwait of the interrupted thread", result);
    __atomic_fetch_add(&interrupted, 1, __ATOMIC_RELEASE);
  }
  return unused;
}

static void *interrupt(void *unused) {
  pthread_t target;
  start(interruptible, NULL, &target);
  for (int sent = 0; running();) {
    usleep(3000);
    sent++;
    CHECK(pthread_kill(target, SIGUSR1) == 0);
    uint64_t limit = now_ns() + UINT64_C(20000000000);
    while (__atomic_load_n(&interrupted, __ATOMIC_ACQUIRE) < sent)
      if (now_ns() > limit) fail("a true EINTR is missing", sent);
      else sched_yield();
    if (interrupted != sent || handled != sent) fail("a spurious or doubled EINTR", interrupted - sent);
  }
  /* The next one lets it see that it is to end. */
  CHECK(pthread_kill(target, SIGUSR1) == 0 && pthread_join(target, NULL) == 0);
  return unused;
}

/* ---- A storm of queued real-time signals arrives complete and in order: in a handler, and through a signalfd. */

static volatile int expected, wrong;
static void in_order(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)context;
  if (info->si_value.sival_int != expected++) wrong++;
}

static void *handles(void *tid) {
  __atomic_store_n((volatile int *)tid, own_tid(), __ATOMIC_RELEASE);
  while (running()) usleep(1000);
  return NULL;
}

static void *storm(void *unused) {
  pthread_t target;
  int sent = 0;
  volatile int tid = 0;
  start(handles, (void *)&tid, &target);
  await(&tid);
  while (running()) {
    if (queue_signal(tid, SIGRTMIN + 1, (uintptr_t)sent) == 0) sent++;
    if (sent % 16 == 0) usleep(500);
  }
  CHECK(pthread_join(target, NULL) == 0);
  if (expected != sent || wrong) fail("queued signals: lost, doubled or out of order", sent - expected);
  return unused;
}

static void *signal_reader(void *unused) {
  sigset_t set;
  struct signalfd_siginfo info;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN + 2);
  int fd = signalfd(-1, &set, 0);
  for (int next = 0; running(); next++) {
    union sigval value = {.sival_int = next};
    CHECK(sigqueue(getpid(), SIGRTMIN + 2, value) == 0);
    long result = read(fd, &info, sizeof info);
    if (result != sizeof info || info.ssi_int != next || info.ssi_code != SI_QUEUE) fail("signalfd", result);
  }
  close(fd);
  return unused;
}

/* ---- Timers: each expiry is a signal or an overrun, none is lost. */

static void *timers(void *unused) {
  sigset_t set;
  siginfo_t info;
  timer_t timer;
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 3};
  struct itimerspec period = {{0, 2000000}, {0, 2000000}};
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN + 3);
  CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
  uint64_t begin = now_ns();
  long expiries = 0;
  CHECK(timer_settime(timer, 0, &period, NULL) == 0);
  while (running()) {
    int got = sigwaitinfo(&set, &info);
    if (!exact && got < 0 && errno == EINTR) continue;
    if (got != SIGRTMIN + 3) fail("sigwaitinfo of a timer", got);
    expiries += 1 + info.si_overrun;
  }
  long due = (long)((now_ns() - begin) / 2000000);
  CHECK(timer_delete(timer) == 0);
  if (expiries > due + 1) fail("more expiries than time", expiries - due);
  return unused;
}

/* ---- Children by vfork and exec, and waiting for them; SIGCHLD is the program's own. */

static void *spawner(void *unused) {
  while (running()) {
    pid_t child = vfork();
    if (child == 0) {
      execl("/bin/true", "true", (char *)NULL);
      _exit(98);
    }
    int status;
    pid_t got = waitpid(child, &status, 0);
    if (got != child || status != 0) fail("waitpid of a vfork child", got == child ? status : got);
  }
  return unused;
}

/* ---- Threads that come and go with blocks in hand. */

static void *short_lived(void *argument) {
  void **block = argument;
  *block = malloc(100);
  return block;
}

static void *churn(void *unused) {
  while (running()) {
    pthread_t thread;
    void **block = malloc(sizeof *block), *result;
    start(short_lived, block, &thread);
    CHECK(pthread_join(thread, &result) == 0 && result == block);
    free(*block);
    free(block);
  }
  return unused;
}

/* ---- Blocking transfers are whole: the other end takes and gives in small pieces. */

enum { BIG = 256 << 10 };
struct channel { int in, out; int way; };

static void *drain(void *argument) {
  struct channel *channel = argument;
  char bytes[4096];
  for (long n, total = 0; (n = read(channel->out, bytes, sizeof bytes)) > 0;) {
    for (long i = 0; i < n; i++, total++)
      if ((unsigned char)bytes[i] != total % 251) fail("a byte of a transfer", total);
    usleep(300);
  }
  return NULL;
}

static void *fill(void *argument) {
  struct channel *channel = argument;
  static const char *const names[] = {"write", "writev", "send", "sendmsg", "sendto"};
  unsigned char *bytes = malloc(BIG);
  for (long total = 0; running(); total += BIG) {
    for (long i = 0; i < BIG; i++) bytes[i] = (unsigned char)((total + i) % 251);
    struct iovec pieces[3] = {{bytes, 1000}, {bytes + 1000, 100000}, {bytes + 101000, BIG - 101000}};
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 3};
    long done = 0;
    switch (channel->way) {
      case 0: done = write(channel->in, bytes, BIG); break;
      case 1: done = writev(channel->in, pieces, 3); break;
      case 2: done = send(channel->in, bytes, BIG, 0); break;
      case 3: done = sendmsg(channel->in, &message, 0); break;
      default: done = sendto(channel->in, bytes, BIG, 0, NULL, 0); break;
    }
    if (done != BIG && wrapped) fail(names[channel->way], done);
    while (done < BIG) {
      long more = write(channel->in, bytes + done, (size_t)(BIG - done));
      if (more <= 0) fail("the rest of a transfer", more);
      done += more;
    }
  }
  free(bytes);
  close(channel->in);
  return NULL;
}

static void *trickle(void *argument) {
  int *fd = argument;
  for (int i = 0; running(); i++) {
    char byte = (char)i;
    if (write(*fd, &byte, 1) != 1) fail("a byte for recv", errno);
    usleep(700);
  }
  shutdown(*fd, SHUT_WR);
  return NULL;
}

static void *receive(void *argument) {
  static const char *const names[] = {"recv", "recvfrom", "recvmsg"};
  int *pair = argument;
  pthread_t other;
  start(trickle, &pair[1], &other);
  for (int round = 0, next = 0; running(); round++) {
    char bytes[40];
    struct iovec pieces[2] = {{bytes, 7}, {bytes + 7, 33}};
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};
    long got;
    switch (round % 3) {
      case 0: got = recv(pair[0], bytes, 40, MSG_WAITALL); break;
      case 1: got = recvfrom(pair[0], bytes, 40, MSG_WAITALL, NULL, NULL); break;
      default: got = recvmsg(pair[0], &message, MSG_WAITALL); break;
    }
    if (!running()) break;
    if (got < 0 || (got != 40 && wrapped)) fail(names[round % 3], got);
    for (long i = 0; i < got; i++)
      if (bytes[i] != (char)next++) fail("a received byte", next);
  }
  CHECK(pthread_join(other, NULL) == 0);
  return NULL;
}

/* ---- A timeout of a second takes a second, whatever falls into it. */

/* Milliseconds by which a thread that no check can delay was late, in all: so long the machine had no CPU for us. */
static uint64_t starved;

static void *metronome(void *unused) {
  struct timespec next;
  CHECK(clock_gettime(CLOCK_MONOTONIC, &next) == 0);
  while (running()) {
    next.tv_nsec += 50000000;
    if (next.tv_nsec >= 1000000000) next.tv_sec++, next.tv_nsec -= 1000000000;
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL) != 0) {}
    uint64_t due = (uint64_t)next.tv_sec * 1000000000 + (uint64_t)next.tv_nsec, late = (now_ns() - due) / 1000000;
    if (late > 50) {
      __atomic_fetch_add(&starved, late, __ATOMIC_RELAXED);
      CHECK(clock_gettime(CLOCK_MONOTONIC, &next) == 0);
    }
  }
  return unused;
}

static void *timeout(void *which) {
  struct epoll_event event;
  struct timespec second = {1, 0};
  struct sembuf down = {0, -1, 0};
  struct pollfd none = {-1, 0, 0};
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  int epoll = epoll_create1(0);
  while (running()) {
    uint64_t begin = now_ns(), before = __atomic_load_n(&starved, __ATOMIC_RELAXED);
    long result;
    switch ((int)(intptr_t)which) {
      case 0: result = epoll_wait(epoll, &event, 1, 1000); break;
      case 1: result = epoll_pwait(epoll, &event, 1, 1000, NULL); break;
      case 2: result = sigtimedwait(&set, NULL, &second); break;
      case 3: result = semtimedop(semaphores, &down, 1, &second); break;
      case 4: result = poll(&none, 1, 1000); break;
      default: result = nanosleep(&second, NULL); break;
    }
    uint64_t took = (now_ns() - begin) / 1000000;
    if (!running()) break;
    if (!exact && result < 0 && errno == EINTR) continue;
    if (result > 0 || (result < 0 && errno != EAGAIN)) {
      char text[64];
      snprintf(text, sizeof text, "timed call %d after %d ms", (int)(intptr_t)which, (int)((now_ns() - begin) / 1000000));
      fail(text, result);
    }
    if (took < 999) fail("a timeout came early, in ms", (long)took);
    /* Late by a missed restart would be late by what had gone by at a check, for as long as there are checks; the rest of
     * the margin is for a machine with more to do. */
    uint64_t without_cpu = __atomic_load_n(&starved, __ATOMIC_RELAXED) - before;
    if (took > 5000 + 4 * without_cpu && wrapped) fail("a timeout came late, in ms", (long)took);
  }
  close(epoll);
  return NULL;
}

int main(void) {
  const char *wanted = getenv("TRANSPARENCY_CHECKS"), *preload = getenv("LD_PRELOAD");
  int checks = wanted ? atoi(wanted) : 40;
  const char *options = getenv("STANDSTILL_OPTIONS"), *also = getenv("LSAN_OPTIONS");
  int by_signal = strstr(options ? options : "", "ptrace=0") || strstr(also ? also : "", "ptrace=0");
  wrapped = preload != NULL && strstr(preload, "standstill") != NULL;
  exact = wrapped || !by_signal;
#if defined(__aarch64__)
  /* That kernel forgets a thread's call before the thread stands: docs/LIMITS.md. */
  exact = wrapped;
#endif
  struct sigaction action = {.sa_handler = on_usr1}, ordered = {.sa_sigaction = in_order, .sa_flags = SA_SIGINFO | SA_RESTART};
  CHECK(sigaction(SIGUSR1, &action, NULL) == 0 && sigaction(SIGRTMIN + 1, &ordered, NULL) == 0);
  sigset_t set;
  sigemptyset(&set);
  for (int i = 2; i <= 3; i++) sigaddset(&set, SIGRTMIN + i);
  for (int i = 0; i < 2; i++) sigaddset(&set, i ? SIGUSR1 : SIGUSR2);
  CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
  semaphores = semget(IPC_PRIVATE, 1, 0600);
  messages = msgget(IPC_PRIVATE, 0600);
  CHECK(semaphores >= 0 && messages >= 0 && sem_init(&never, 0, 0) == 0);
  struct io_uring_params parameters = {0};
  ring = (int)syscall(SYS_io_uring_setup, 4, &parameters);
  int file = memfd_create("locked", 0);
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", file);
  locked = open(path, O_RDWR);
  CHECK(flock(file, LOCK_EX) == 0 && locked >= 0);

  for (intptr_t i = 0; i < CALLS; i++) start(sit, (void *)i, NULL);
  while (__atomic_load_n(&sitting, __ATOMIC_ACQUIRE) < CALLS) usleep(1000);
  enum { JOINED = 29 };
  pthread_t joined[JOINED];
  int threads = 0;
  void *(*const bodies[])(void *) = {interrupt, storm, signal_reader, timers, spawner, churn, metronome};
  for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) start(bodies[i], NULL, &joined[threads++]);
  struct channel channels[6];
  for (int i = 0; i < 6; i++) {
    int pair[2];
    CHECK(i == 0 || i == 5 ? pipe(pair) == 0 : socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    channels[i] = i == 0 || i == 5 ? (struct channel){pair[1], pair[0], i == 5} : (struct channel){pair[1], pair[0], i};
    start(drain, &channels[i], &joined[threads++]);
    start(fill, &channels[i], &joined[threads++]);
  }
  int pairs[2][2];
  for (int i = 0; i < 2; i++) {
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i]) == 0);
    start(receive, pairs[i], &joined[threads++]);
  }
  for (intptr_t i = 0; i < 6; i++) start(timeout, (void *)i, &joined[threads++]);
  CHECK(threads <= JOINED);
  usleep(100000);

  uint64_t begin = now_ns();
  int leaks = 0;
  for (int i = 0; i < checks; i++) {
    leaks += __lsan_do_recoverable_leak_check() != 0;
    /* Now and then some in a row; four a second in the other half, so that timeouts of a second see several. */
    usleep(i % 2 ? 250000 : 3000);
  }
  __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
  for (int i = 0; i < threads; i++) CHECK(pthread_join(joined[i], NULL) == 0);
  fprintf(stderr, "%d checks in %d ms: %d true EINTRs, %d queued signals\n", checks,
          (int)((now_ns() - begin) / 1000000), interrupted, expected);
  semctl(semaphores, 0, IPC_RMID);
  msgctl(messages, IPC_RMID, NULL);
  CHECK(expected > 0 && interrupted > 0);
  return leaks;
}
