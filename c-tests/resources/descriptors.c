// With report_descriptors what is opened and not closed is told with the call stack that opened it, and nothing else is.
// NOT-IN: archive: needs functions of the C library behind its own
// NOT-IN: static: needs functions of the C library behind its own
// REFERENCE: it does not watch descriptors
// EXPECT-WITH report_descriptors=1: clean
// STDERR: Not closed: 3 file descriptor\(s\), [0-9]+ the first, opened from:\n +#0 [^\n]* open[^\n]*\n +#1 [^\n]*
// STDERR: Not closed: 2 file descriptor\(s\), [0-9]+ the first, opened from:\n +#0 [^\n]* pipe[^\n]*\n
// STDERR: Not closed: 1 file descriptor\(s\), [0-9]+ the first, opened from:\n +#0 [^\n]* fopen[^\n]*\n
// STDERR: Not closed: 1 file descriptor\(s\), [0-9]+ the first, opened from:\n +#0 [^\n]* accept[^\n]*\n
// STDERR: Not closed: 1 file descriptor\(s\), [0-9]+ the first, opened from:\n +#0 [^\n]* dup2[^\n]*\n
// STDERR-NOT: (socket|eventfd|epoll_create1|dup)[^2a-z_]
// EXPECT: clean
// STDERR-NOT: Not closed
#include "support.h"
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

static NOINLINE int open_null(void) { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

static void serve(void) {
  struct sockaddr_in address;
  socklen_t size = sizeof address;
  memset(&address, 0, sizeof address);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(server >= 0 && bind(server, (struct sockaddr *)&address, size) == 0 && listen(server, 1) == 0);
  CHECK(getsockname(server, (struct sockaddr *)&address, &size) == 0);
  CHECK(connect(client, (struct sockaddr *)&address, size) == 0);
  CHECK(accept(server, NULL, NULL) >= 0);
  CHECK(close(server) == 0 && close(client) == 0);
}

int main(void) {
  int ends[2], other;
  for (volatile int i = 0; i < 5; i++) {
    int fd = open_null();
    CHECK(fd >= 0 && (i < 3 || close(fd) == 0));
  }
  CHECK(pipe(ends) == 0);
  CHECK(fopen("/dev/null", "r") != NULL);
  FILE *closed = fopen("/dev/null", "r");
  CHECK(closed != NULL && fclose(closed) == 0);
  CHECK((other = eventfd(0, 0)) >= 0 && close(other) == 0);
  CHECK((other = epoll_create1(0)) >= 0 && close(other) == 0);
  CHECK((other = dup(ends[0])) >= 0 && close(other) == 0);
  CHECK(dup2(ends[0], 77) == 77 && close(-1) == -1);
  serve();
  return 0;
}
