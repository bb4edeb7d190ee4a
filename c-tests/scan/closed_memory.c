// What may hold the only pointer and can be read by nobody, not even through /proc, makes a check incomplete: nothing is
// called a leak. A process that gave up its privileges may not open its own memory.
// EXPECT: status 0
// STDERR: incomplete: no certain leak in .* 4242 byte\(s\) in 1 object\(s\) are possibly leaked, of which 4242 byte\(s\) in 1 object\(s\) were not reached at all
// STDERR: bytes of reachable memory could not be read
// STDERR: SUMMARY: Standstill: incomplete: 4242 byte\(s\) in 1 object\(s\) were not reached and would have been reported as leaked, but not everything was seen: \d+ bytes of reachable memory could not be read: .*prctl
// STDERR-NOT: detected memory leaks
// EXPECT-WITH print_summary=0: status 0
// STDERR: incomplete: no certain leak in
// STDERR-NOT: SUMMARY
// EXPECT: status 0
// ARGS: mapping
// STDERR: incomplete: no certain leak in .* 4242 byte\(s\) in 1 object\(s\) are possibly leaked, of which 4242 byte\(s\) in 1 object\(s\) were not reached at all
#include "support.h"
#include <sys/mman.h>
#include <sys/prctl.h>

static void **volatile holder;
static int in_mapping;

static void build(void *unused) {
  (void)unused;
  void *memory;
  if (in_mapping) {
    memory = mmap((void *)0x100000000000, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
  } else {
    CHECK(posix_memalign(&memory, PAGE, PAGE) == 0);
  }
  holder = memory;
  holder[3] = malloc(4242);
  CHECK(mprotect(memory, PAGE, PROT_NONE) == 0);
}

int main(int count, char **arguments) {
  (void)arguments;
  in_mapping = count > 1;
  if (geteuid() == 0) CHECK(setuid(65534) == 0);
  CHECK(prctl(PR_SET_DUMPABLE, 0) == 0);
  clean_call(build, NULL);
  return 0;
}
