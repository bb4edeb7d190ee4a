// With report_descriptors each function that opens a descriptor is told, and what it opened and was closed is not told of whoever has the number next.
// NOT-IN: archive: needs functions of the C library behind its own
// NOT-IN: static: needs functions of the C library behind its own
// REFERENCE: it does not watch descriptors
// EXPECT-WITH report_descriptors=1: clean
// STDERR: Not closed: 2 file descriptor\(s\), [0-9]+ the first, opened from:\n +#0 [^\n]* in fcntl\b
// STDERR: Not closed: 1 file descriptor\(s\), [0-9]+ the first, opened from:\n +#0 [^\n]* in tmpfile\b
// STDERR: Not closed: 1 file descriptor\(s\), [0-9]+ the first, opened from:\n +#0 [^\n]* in popen\b
// STDERR: Not closed: 1 file descriptor\(s\), [0-9]+ the first, opened from:\n +#0 [^\n]* in freopen\b
// STDERR: Not closed: 1 file descriptor\(s\), [0-9]+ the first, opened from:\n +#0 [^\n]* in opendir\b
// STDERR: Not closed: 1 file descriptor\(s\), [0-9]+ the first, opened from:\n +#0 [^\n]* in openat\b
// STDERR: Not closed: 1 file descriptor\(s\), [0-9]+ the first, opened from:\n +#0 [^\n]* in mkostemp\b
// STDERR: Not closed: 1 file descriptor\(s\), [0-9]+ the first, opened from:\n +#0 [^\n]* in memfd_create\b
// STDERR: Not closed: 1 file descriptor\(s\), [0-9]+ the first, opened from:\n +#0 [^\n]* in inotify_init1\b
// STDERR: Not closed: 1 file descriptor\(s\), [0-9]+ the first, opened from:\n +#0 [^\n]* in signalfd\b
// STDERR: Not closed: 1 file descriptor\(s\), [0-9]+ the first, opened from:\n +#0 [^\n]* in timerfd_create\b
// STDERR: Not closed: 1 file descriptor\(s\), [0-9]+ the first, opened from:\n +#0 [^\n]* in epoll_create1\b
// STDERR: Not closed: 2 file descriptor\(s\), [0-9]+ the first, opened from:\n +#0 [^\n]* in pipe2\b
// STDERR: Not closed: 2 file descriptor\(s\), [0-9]+ the first, opened from:\n +#0 [^\n]* in socketpair\b
// STDERR-NOT: eventfd
#include "support.h"
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

static FILE *volatile streams[3];
static DIR *volatile directory;

int main(void) {
  char path[] = "/tmp/standstill-XXXXXX";
  int ends[2];
  sigset_t set;
  sigemptyset(&set);
  for (volatile int i = 0; i < 2; i++) CHECK(fcntl(2, i == 0 ? F_DUPFD : F_DUPFD_CLOEXEC, 40) >= 40);
  CHECK(fcntl(2, F_GETFD) == 0);
  CHECK((streams[0] = tmpfile()) != NULL && (streams[1] = popen("exec true", "r")) != NULL);
  CHECK((streams[2] = freopen("/dev/null", "r", stdin)) != NULL && (directory = opendir("/")) != NULL);
  CHECK(openat(AT_FDCWD, "/dev/null", O_RDONLY) >= 0 && mkostemp(path, O_CLOEXEC) >= 0 && unlink(path) == 0);
  CHECK(memfd_create("test", 0) >= 0 && inotify_init1(0) >= 0 && signalfd(-1, &set, 0) >= 0);
  CHECK(timerfd_create(CLOCK_MONOTONIC, 0) >= 0 && epoll_create1(0) >= 0);
  CHECK(pipe2(ends, O_CLOEXEC) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  /* The next with this number is opened by a call that nobody sees. */
  int closed = eventfd(0, 0);
  CHECK(closed >= 0 && close(closed) == 0 && syscall(SYS_dup, 2) == closed);
  return 0;
}
