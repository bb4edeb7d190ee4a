/* How late a relative timeout of a second ends while four checks a second stop the program.
 *
 * usage: timeouts CHECKS_A_SECOND
 * One thread waits a second in each call, one call after the other, while another makes the checks; it stops when a call
 * has taken three seconds, for one that starts again in full would never end.
 *
 * prints: one key a call, its value the milliseconds that the call took (1000 would be perfect; 0 checks: the baseline),
 * early (calls that ended with EINTR), worst (the largest)
 */
#include "bench.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/time.h>

static atomic_int done;
static _Atomic uint64_t began;
static check_fn check;
static long pause_us;

static void *checks(void *arg) {
  while (!atomic_load(&done)) {
    struct timespec t = {0, pause_us * 1000};
    nanosleep(&t, NULL);
    if (wall_ns() - atomic_load(&began) < 3000000000u && check()) die("a false leak");
  }
  return arg;
}

static struct timespec in_a_second(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  t.tv_sec++;
  return t;
}

static int early;
static double worst;

#define MEASURE(name, call)                                                                                           \
  do {                                                                                                                \
    errno = 0;                                                                                                        \
    uint64_t t0 = wall_ns();                                                                                          \
    atomic_store(&began, t0);                                                                                         \
    (void)(call);                                                                                                     \
    early += errno == EINTR;                                                                                          \
    double ms = (double)(wall_ns() - t0) / 1e6;                                                                       \
    if (ms > worst) worst = ms;                                                                                       \
    printf(name "=%.0f ", ms);                                                                                        \
  } while (0)

int main(int argc, char **argv) {
  if (argc != 2) die("usage: timeouts CHECKS_A_SECOND");
  int rate = atoi(argv[1]);
  struct timespec second = {1, 0};
  struct timeval tv = {1, 0};
  int ends[2], epoll = epoll_create1(0);
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) die("socketpair");
  if (setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv)) die("SO_RCVTIMEO");
  int semaphore = semget(IPC_PRIVATE, 1, 0600);
  struct sembuf down = {0, -1, 0};
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, NULL);
  sem_t sem;
  sem_init(&sem, 0, 0);
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
  pthread_t thread;
  if (rate > 0) {
    check = check_function();
    if (!check) die("no leak checker in this process");
    pause_us = 1000000 / rate;
    if (pthread_create(&thread, NULL, checks, NULL)) die("pthread_create");
  }
  struct epoll_event event;
  char byte;
  MEASURE("nanosleep", nanosleep(&second, NULL));
  MEASURE("usleep", usleep(1000000));
  MEASURE("sleep", sleep(1));
  MEASURE("poll", poll(NULL, 0, 1000));
  MEASURE("ppoll", ppoll(NULL, 0, &second, NULL));
  struct timeval left = tv;
  MEASURE("select", select(0, NULL, NULL, NULL, &left));
  MEASURE("pselect", pselect(0, NULL, NULL, NULL, &second, NULL));
  MEASURE("epoll_wait", epoll_wait(epoll, &event, 1, 1000));
  MEASURE("sigtimedwait", sigtimedwait(&set, NULL, &second));
  MEASURE("semtimedop", semtimedop(semaphore, &down, 1, &second));
  struct timespec end = in_a_second(CLOCK_REALTIME);
  MEASURE("sem_timedwait", sem_timedwait(&sem, &end));
  end = in_a_second(CLOCK_REALTIME);
  pthread_mutex_lock(&mutex);
  MEASURE("cond_timedwait", pthread_cond_timedwait(&cond, &mutex, &end));
  MEASURE("recv", recv(ends[0], &byte, 1, 0));
  atomic_store(&done, 1);
  semctl(semaphore, 0, IPC_RMID);
  printf("early=%d worst=%.0f\n", early, worst);
  fflush(stdout);
  _exit(0);
}
