// A thread that is blocked in a call which the preload wraps can be cancelled there, and its cleanup handlers run.
// FLAGS: -pthread
// EXPECT: clean
#include "support.h"
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>

enum { BIG = 8 << 20, CALLS = 30 };
static char big[BIG]; /* more than any pipe or socket holds */
static volatile int waiting, cleaned;

static void cleanup(void *block) {
  free(block);
  __atomic_fetch_add(&cleaned, 1, __ATOMIC_RELEASE);
}

static void *wait_for_ever(void *unused) {
  for (;;) pause();
  return unused;
}

/* A socket at which nobody knocks. */
static int listening(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int server = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK(server >= 0 && bind(server, (struct sockaddr *)&address, sizeof(sa_family_t)) == 0 && listen(server, 1) == 0);
  return server;
}

/* A pipe that nobody opens for writing. */
static char fifo[] = "/tmp/standstill-fifo-XXXXXX";

static pthread_cond_t never = PTHREAD_COND_INITIALIZER;

static void hold(pthread_mutex_t *mutex) { CHECK(pthread_mutex_lock(mutex) == 0); }

static long block_in(int which) {
  struct timespec hour = {3600, 0};
  struct epoll_event event;
  struct pollfd none = {-1, 0, 0};
  struct iovec piece = {big, BIG};
  struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
  sigset_t set;
  sem_t semaphore;
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  struct timespec until = {1L << 40, 0};
  pthread_t thread;
  int signal, pair[2], pipes[2], epoll = epoll_create1(0);
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && pipe(pipes) == 0);
  switch (which) {
    case 0: return write(pipes[1], big, BIG);
    case 1: return writev(pipes[1], &piece, 1);
    case 2: return send(pair[0], big, BIG, 0);
    case 3: return sendto(pair[0], big, BIG, 0, NULL, 0);
    case 4: return sendmsg(pair[0], &message, 0);
    case 5: return recv(pair[0], big, 10, MSG_WAITALL);
    case 6: return recv(pair[0], big, 10, 0);
    case 7: return recvfrom(pair[0], big, 10, 0, NULL, NULL);
    case 8: return recvmsg(pair[0], &message, MSG_WAITALL);
    case 9: return epoll_wait(epoll, &event, 1, -1);
    case 10: return epoll_pwait(epoll, &event, 1, 3600000, NULL);
    case 11: return poll(&none, 1, 3600000);
    case 12: return ppoll(&none, 1, &hour, NULL);
    case 13: return nanosleep(&hour, NULL);
    case 14: return sigtimedwait(&set, NULL, &hour);
    case 15: return sigwaitinfo(&set, NULL);
    case 16: return sleep(3600);
    case 17: return usleep(999999999);
    case 18: return accept(listening(), NULL, NULL);
    case 19: return accept4(listening(), NULL, NULL, 0);
    case 20: return open(fifo, O_RDONLY);
    case 21:
      CHECK(pthread_create(&thread, NULL, wait_for_ever, NULL) == 0);
      return pthread_join(thread, NULL);
    case 22: /* It does not block, and is a place where a thread ends all the same. */
      CHECK(pthread_cancel(pthread_self()) == 0);
      return close(pipes[0]);
    case 23: return sem_init(&semaphore, 0, 0), sem_wait(&semaphore);
    case 24: return sem_init(&semaphore, 0, 0), sem_timedwait(&semaphore, &until);
    case 25: return hold(&mutex), pthread_cond_wait(&never, &mutex);
    case 26: return hold(&mutex), pthread_cond_timedwait(&never, &mutex, &until);
    case 27: return sigwait(&set, &signal);
    case 28: return select(0, NULL, NULL, NULL, NULL);
    default: return pause();
  }
}

static void *body(void *which) {
  char *block = malloc(100);
  pthread_cleanup_push(cleanup, block);
  __atomic_fetch_add(&waiting, 1, __ATOMIC_RELEASE);
  long result = block_in((int)(intptr_t)which);
  /* With musl a cancelled transfer that has moved something returns, and the next call is where the thread ends. */
  if (result > 0 && result < BIG) pthread_testcancel();
  fprintf(stderr, "call %d returned %ld\n", (int)(intptr_t)which, result);
  _exit(99);
  pthread_cleanup_pop(1);
  return NULL;
}

int main(void) {
  pthread_t threads[CALLS];
  sigset_t set;
  int file = mkstemp(fifo);
  CHECK(file >= 0 && close(file) == 0 && unlink(fifo) == 0 && mkfifo(fifo, 0600) == 0);
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
  for (intptr_t i = 0; i < CALLS; i++) CHECK(pthread_create(&threads[i], NULL, body, (void *)i) == 0);
  while (__atomic_load_n(&waiting, __ATOMIC_ACQUIRE) < CALLS) usleep(1000);
  usleep(20000);
  for (int i = 0; i < CALLS; i++) {
    void *result;
    CHECK(pthread_cancel(threads[i]) == 0 && pthread_join(threads[i], &result) == 0);
    CHECK(result == PTHREAD_CANCELED);
  }
  CHECK(cleaned == CALLS && unlink(fifo) == 0);
  return 0;
}
