// In a chroot without /proc the threads and what is mapped are found all the same: what is on a stack, in TLS, in data, in a mapping is held, the rest is not reached; but nothing is certain, and that is said.
// REFERENCE: cannot read /proc/self/task
// FLAGS: -pthread
// TIMEOUT: 120
// EXPECT: status 0
// NOT-IN: aarch64: its kernel needs /proc to have calls made again
// STDERR: Standstill: incomplete: 4342 byte\(s\) in 2 object\(s\) were not reached .* there is no /proc
// EXPECT-WITH ptrace=0: status 0
// STDERR: could not check: /proc cannot be read
// EXPECT: status 0
// ARGS: alone
// STDERR: Standstill: incomplete: 4342 byte\(s\) in 2 object\(s\) were not reached .* there is no /proc
#include "support.h"
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/mman.h>

static sem_t ready, never;
static __thread void *volatile in_tls;
static void *volatile in_data, **volatile in_mapping;

static void *waits(void *number) {
  void *volatile on_stack = malloc(1000 + (size_t)number);
  in_tls = malloc(2000 + (size_t)number);
  sem_post(&ready);
  sem_wait(&never);
  return on_stack;
}

static void lose(void *unused) {
  (void)unused;
  void **lost = use(malloc(4242));
  *lost = malloc(100);
}

int main(int count, char **arguments) {
  (void)arguments;
  char empty[] = "/tmp/standstill-no-proc-XXXXXX";
  CHECK(mkdtemp(empty) != NULL);
  int outside = open("/tmp", O_DIRECTORY | O_PATH), status = chroot(empty);
  if (status != 0 && unshare(CLONE_NEWUSER) == 0) status = chroot(empty);
  CHECK(unlinkat(outside, empty + strlen("/tmp/"), AT_REMOVEDIR) == 0 && close(outside) == 0);
  if (status != 0) skip("this machine allows no chroot");
  CHECK(sem_init(&ready, 0, 0) == 0 && sem_init(&never, 0, 0) == 0);
  for (size_t i = 0; count == 1 && i < 8; i++) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, waits, (void *)i) == 0 && sem_wait(&ready) == 0);
  }
  in_data = malloc(77);
  in_mapping = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(in_mapping != MAP_FAILED);
  in_mapping[1000] = malloc(99);
  /* Much of it, of which little is there; and some that may not be read. */
  char *large = mmap(NULL, (size_t)1 << 31, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(large != MAP_FAILED);
  large[1 << 30] = 1;
  CHECK(mprotect(large, 1 << 20, PROT_NONE) == 0);
  clean_call(lose, NULL);
  return 0;
}
