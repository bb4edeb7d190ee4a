// A constructor that waits for a thread which makes many calls for the first time. Part of constructor_waits.
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

volatile int lib_constructor_waits_done;

static void *nothing(void *unused) { return unused; }

/* Calls that fail at once, or end at once. */
static void *call_all(void *unused) {
  struct timespec none = {0, 0};
  struct epoll_event event;
  struct pollfd file = {-1, 0, 0};
  struct iovec piece = {&none, 0};
  struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
  struct sembuf operation = {0, 0, 0};
  struct itimerspec timer = {{0, 0}, {0, 0}};
  char path[] = "/nowhere/XXXXXX", *nobody[] = {NULL};
  int ends[2];
  sigset_t set;
  pthread_t thread;
  FILE *stream = fopen("/dev/null", "r");
  sigemptyset(&set);
  if (stream != NULL) (void)fclose(stream);
  (void)close(open("/dev/null", O_RDONLY));
  (void)close(openat(AT_FDCWD, "/dev/null", O_RDONLY));
  (void)creat("/nowhere/file", 0600);
  (void)mkstemp(path);
  if (pipe(ends) == 0) (void)(close(ends[0]), close(ends[1]));
  if (pipe2(ends, O_CLOEXEC) == 0) (void)(close(ends[0]), close(ends[1]));
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0) (void)(close(ends[0]), close(ends[1]));
  (void)(dup(-1), dup2(-1, -1), dup3(-1, -1, 0));
  (void)(accept(-1, NULL, NULL), accept4(-1, NULL, NULL, 0), close(socket(AF_UNIX, SOCK_STREAM, 0)));
  (void)(close(epoll_create(1)), close(epoll_create1(0)), close(eventfd(0, 0)));
  (void)(close(inotify_init()), close(inotify_init1(0)), close(memfd_create("test", 0)));
  (void)(close(signalfd(-1, &set, 0)), close(timerfd_create(CLOCK_MONOTONIC, 0)), timer.it_value.tv_sec);
  (void)(epoll_wait(-1, &event, 1, 0), epoll_pwait(-1, &event, 1, 0, NULL), poll(&file, 1, 0));
  (void)(ppoll(&file, 1, &none, NULL), pselect(0, NULL, NULL, NULL, &none, NULL));
  (void)(nanosleep(&none, NULL), clock_nanosleep(CLOCK_MONOTONIC, 0, &none, NULL), usleep(0), sleep(0));
  (void)(sigtimedwait(&set, NULL, &none), semtimedop(-1, &operation, 1, &none));
  (void)(msgsnd(-1, &none, 0, IPC_NOWAIT) + (int)msgrcv(-1, &none, 0, 0, IPC_NOWAIT));
  ssize_t moved = write(-1, &none, 0) + writev(-1, &piece, 1) + send(-1, &none, 0, 0) + sendfile(-1, -1, NULL, 0);
  moved += sendto(-1, &none, 0, 0, NULL, 0) + sendmsg(-1, &message, 0) + recv(-1, &none, 0, 0);
  moved += recvfrom(-1, &none, 0, 0, NULL, NULL) + recvmsg(-1, &message, 0);
  if (moved > 0) abort();
  (void)(execv("/nowhere", nobody), execve("/nowhere", nobody, nobody), execvp("/nowhere", nobody));
  (void)execvpe("/nowhere", nobody, nobody);
  (void)fexecve(-1, nobody, nobody);
  if (pthread_create(&thread, NULL, nothing, NULL) != 0 || pthread_join(thread, NULL) != 0) abort();
  if (pthread_create(&thread, NULL, nothing, NULL) != 0) abort();
  while (pthread_tryjoin_np(thread, NULL) == EBUSY) (void)usleep(100);
  if (pthread_create(&thread, NULL, nothing, NULL) != 0 || pthread_detach(thread) != 0) abort();
  return unused;
}

__attribute__((constructor)) static void wait_for_thread(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, call_all, NULL) != 0 || pthread_join(thread, NULL) != 0) abort();
  lib_constructor_waits_done = 1;
}
