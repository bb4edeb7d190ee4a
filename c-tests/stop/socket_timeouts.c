// The timeout of a socket (SO_RCVTIMEO, SO_SNDTIMEO) ends while one check follows another, and not before its time; what comes meanwhile is received, and a handler still interrupts.
// FLAGS: -pthread
// TIMEOUT: 120
// REFERENCE: gives a spurious EINTR
// EXPECT-WITH deadline_ms=30000: clean
// EXPECT-WITH ptrace=0:deadline_ms=30000: clean
#include "support.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

extern int __lsan_do_recoverable_leak_check(void);

enum { CALLS = 7, MS = 400 };
static const char *const names[CALLS] = {"recv", "recvfrom", "recvmsg", "read", "recv for all", "send", "write"};
static volatile int stop, handled;
static int pair[2];
static volatile int waits;

static long make(int which) {
  char bytes[64] = {0};
  struct iovec piece = {bytes, sizeof bytes};
  struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
  switch (which) {
    case 0: return recv(pair[0], bytes, sizeof bytes, 0);
    case 1: return recvfrom(pair[0], bytes, sizeof bytes, 0, NULL, NULL);
    case 2: return recvmsg(pair[0], &message, 0);
    case 3: return read(pair[0], bytes, sizeof bytes);
    case 4: return recv(pair[0], bytes, 8, MSG_WAITALL);
    case 5: return send(pair[0], bytes, sizeof bytes, 0);
    default: return write(pair[0], bytes, sizeof bytes);
  }
}

static void *checks(void *unused) {
  while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
    CHECK(__lsan_do_recoverable_leak_check() == 0);
    usleep(20000);
  }
  return unused;
}

/* Ends a call that would never end by itself, so that the test can say so. */
static volatile uint64_t began;
static void *guard(void *unused) {
  while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
    if (now_ns() - began > 30000000000u) {
      fprintf(stderr, "the timeout does not end\n");
      _exit(99);
    }
    usleep(100000);
  }
  return unused;
}

static void on_usr1(int signal) {
  (void)signal;
  handled = 1;
}

static void *interrupts(void *thread) {
  await(&waits);
  usleep(150000);
  CHECK(pthread_kill(*(pthread_t *)thread, SIGUSR1) == 0);
  return thread;
}

static void *sends(void *unused) {
  await(&waits);
  usleep(150000);
  CHECK(write(pair[1], "12345678", 8) == 8);
  return unused;
}

/* A byte now and then, which with a stop between each two is no reason to wait anew. */
static void *trickles(void *end) {
  await(&waits);
  for (int i = 0; i < 64 && waits; i++) {
    usleep(50000);
    CHECK(send(*(int *)end, "x", 1, MSG_NOSIGNAL) == 1);
  }
  return end;
}

static void *sends_few(void *end) {
  await(&waits);
  usleep(150000);
  CHECK(write(*(int *)end, "12345678", 8) == 8);
  return end;
}

/* Two ends of a connection; the first has the timeouts of the socket that it was accepted on. */
static void connected(int ends[2], const struct timeval *time) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, time, sizeof *time) == 0);
  CHECK(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 1) == 0);
  CHECK(getsockname(listener, (struct sockaddr *)&address, &length) == 0);
  ends[1] = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(connect(ends[1], (struct sockaddr *)&address, sizeof address) == 0);
  ends[0] = accept(listener, NULL, NULL);
  CHECK(ends[0] >= 0 && close(listener) == 0);
}

/* What there is when the time is over is received, however few bytes it is, and at that time. */
static void receives_what_there_is(const struct timeval *time) {
  char bytes[64];
  int ends[2], least = 100;
  pthread_t other;
  connected(ends, time);
  CHECK(setsockopt(ends[0], SOL_SOCKET, SO_RCVLOWAT, &least, sizeof least) == 0);
  CHECK(pthread_create(&other, NULL, sends_few, &ends[1]) == 0);
  began = now_ns();
  waits = 1;
  long got = recv(ends[0], bytes, sizeof bytes, 0);
  if (got != 8) fprintf(stderr, "less than SO_RCVLOWAT: %ld, errno %d\n", got, errno);
  CHECK(got == 8 && now_ns() - began > (MS - 1) * UINT64_C(1000000) && pthread_join(other, NULL) == 0);
  waits = 0;
  CHECK(pthread_create(&other, NULL, trickles, &ends[1]) == 0);
  began = now_ns();
  waits = 1;
  got = recv(ends[0], bytes, sizeof bytes, MSG_WAITALL);
  if (got <= 0 || got == sizeof bytes) fprintf(stderr, "a trickle: %ld, errno %d\n", got, errno);
  CHECK(got > 0 && got < (long)sizeof bytes);
  waits = 0;
  CHECK(pthread_join(other, NULL) == 0 && close(ends[0]) == 0 && close(ends[1]) == 0);
}

int main(void) {
  const char *preload = getenv("LD_PRELOAD");
  if (!preload || !strstr(preload, "standstill")) skip("only the preload's functions know when a call was made");
  struct sigaction action = {.sa_handler = on_usr1, .sa_flags = SA_RESTART};
  CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
  struct timeval time = {0, MS * 1000}, minute = {60, 0};
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  CHECK(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time) == 0);
  CHECK(setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time) == 0);
  static char bytes[4096];
  while (send(pair[0], bytes, sizeof bytes, MSG_DONTWAIT) > 0) {}
  pthread_t checker, guardian, other, self = pthread_self();
  began = now_ns();
  CHECK(pthread_create(&checker, NULL, checks, NULL) == 0 && pthread_create(&guardian, NULL, guard, NULL) == 0);
  for (int round = 0; round <= CALLS; round++) {
    int which = round % CALLS;
    /* At last with a duplicate, which has the timeouts of what it was made of. */
    if (round == CALLS) pair[0] = dup(pair[0]);
    began = now_ns();
    long result = make(which);
    int error = errno;
    uint64_t took = now_ns() - began;
    if (result != -1 || error != EAGAIN || took < (MS - 1) * UINT64_C(1000000)) {
      fprintf(stderr, "%s: %ld, errno %d, %d ms\n", names[which], result, error, (int)(took / 1000000));
      return 99;
    }
  }
  receives_what_there_is(&time);
  /* Long enough for what happens in the middle to be no chance. */
  CHECK(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &minute, sizeof minute) == 0);
  for (int which = 0; which < 5; which++) {
    waits = 0;
    began = now_ns();
    CHECK(pthread_create(&other, NULL, sends, NULL) == 0);
    waits = 1;
    long got = make(which);
    if (got != 8) fprintf(stderr, "%s: %ld, errno %d\n", names[which], got, errno);
    CHECK(got == 8 && pthread_join(other, NULL) == 0);
    handled = waits = 0;
    CHECK(pthread_create(&other, NULL, interrupts, &self) == 0);
    waits = 1;
    got = make(which);
    /* A call on a socket with a timeout is not made again (signal(7)), whatever SA_RESTART says. */
    if (got != -1 || errno != EINTR) fprintf(stderr, "%s under a signal: %ld, errno %d\n", names[which], got, errno);
    CHECK(got == -1 && errno == EINTR && handled && pthread_join(other, NULL) == 0);
  }
  __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
  CHECK(pthread_join(checker, NULL) == 0 && pthread_join(guardian, NULL) == 0);
  return 0;
}
