// A page of the heap that somebody else has to fill, who stands still or waits for us (userfaultfd), is not waited for: the
// check ends, and finds nothing lost.
// FLAGS: -pthread
// TIMEOUT: 60
// REFERENCE: it reads the page, and hangs
// EXPECT: clean
// EXPECT: clean
// ARGS: thread
#include "support.h"
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

static void *volatile block;

static void *sleeping(void *unused) {
  for (;;) pause();
  return unused;
}

int main(int count, char **arguments) {
  (void)arguments;
  int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
  if (fd < 0) skip("no userfaultfd(2) here");
  struct uffdio_api api = {.api = UFFD_API};
  CHECK(ioctl(fd, UFFDIO_API, &api) == 0);
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  void *memory;
  CHECK(posix_memalign(&memory, page, page) == 0);
  block = memory;
  CHECK(madvise(memory, page, MADV_DONTNEED) == 0);
  struct uffdio_register all = {.range = {(uintptr_t)memory, page}, .mode = UFFDIO_REGISTER_MODE_MISSING};
  CHECK(ioctl(fd, UFFDIO_REGISTER, &all) == 0);
  pthread_t thread;
  if (count > 1) CHECK(pthread_create(&thread, NULL, sleeping, NULL) == 0);
  return 0;
}
