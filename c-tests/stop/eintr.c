// A check does not make the system calls of other threads fail with EINTR: epoll_wait, sigtimedwait, recv with a timeout, semtimedop, poll, nanosleep.
// FLAGS: -pthread
// TIMEOUT: 60
// REFERENCE: gives one spurious EINTR a check and thread
// EXPECT: clean
#include "support.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

extern int __lsan_do_recoverable_leak_check(void);

static volatile int waiting, done;
static int semaphores;

static long wait_in(int which) {
  struct epoll_event event;
  struct timespec minute = {60, 0};
  struct timeval also_minute = {60, 0};
  struct sembuf down = {0, -1, 0};
  sigset_t set;
  int pair[2];
  char byte;
  switch (which) {
    case 0: return epoll_wait(epoll_create1(0), &event, 1, 60000);
    case 1:
      sigemptyset(&set);
      sigaddset(&set, SIGUSR2);
      return sigtimedwait(&set, NULL, &minute);
    case 2:
      CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
      CHECK(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &also_minute, sizeof also_minute) == 0);
      return recv(pair[0], &byte, 1, 0);
    case 3: return semtimedop(semaphores, &down, 1, &minute);
    case 4: return poll(NULL, 0, 60000);
    default: return nanosleep(&minute, NULL);
  }
}

static void *body(void *which) {
  __atomic_fetch_add(&waiting, 1, __ATOMIC_RELEASE);
  long result = wait_in((int)(intptr_t)which);
  int error = errno;
  if (!done) {
    fprintf(stderr, "call %d returned %ld, errno %d\n", (int)(intptr_t)which, result, error);
    semctl(semaphores, 0, IPC_RMID);
    _exit(99);
  }
  return NULL;
}

int main(void) {
  pthread_t thread;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
  semaphores = semget(IPC_PRIVATE, 1, 0600);
  CHECK(semaphores >= 0);
  for (intptr_t i = 0; i < 6; i++) CHECK(pthread_create(&thread, NULL, body, (void *)i) == 0);
  while (__atomic_load_n(&waiting, __ATOMIC_ACQUIRE) < 6) usleep(1000);
  usleep(50000);
  int leaks = 0;
  for (int i = 0; i < 20; i++) {
    leaks |= __lsan_do_recoverable_leak_check();
    usleep(1000);
  }
  done = 1;
  semctl(semaphores, 0, IPC_RMID);
  return leaks;
}
