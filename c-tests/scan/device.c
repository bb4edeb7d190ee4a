// A mapping of a device that the program can write is never read, and with verbosity=1 the report says so; of one that it can
// only read nothing is said.
// EXPECT-WITH verbosity=0: leak 4242 bytes in 1 object
// STDERR-NOT: of devices
// EXPECT-WITH verbosity=1: leak 4242 bytes in 1 object
// STDERR: note: 1 writable mapping\(s\) of devices, \d+ bytes, were not read
// EXPECT-WITH verbosity=1: leak 4242 bytes in 1 object
// ARGS: read-only
// STDERR-NOT: of devices
#include "support.h"

#include <sys/mman.h>
#include <sys/syscall.h>

/* The first version of struct perf_event_attr (perf_event_open(2)). */
struct attributes {
  uint32_t type, size;
  uint64_t config, period, sample, read_format, flags;
  uint32_t wakeup, breakpoint;
  uint64_t address;
};

enum { SOFTWARE = 1, CPU_CLOCK = 0, DISABLED = 1, NO_KERNEL = 1 << 5, NO_HYPERVISOR = 1 << 6 };

static void build(void *unused) {
  (void)unused;
  use(malloc(4242));
}

int main(int count, char **arguments) {
  (void)arguments;
  struct attributes attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.type = SOFTWARE;
  attributes.size = sizeof attributes;
  attributes.config = CPU_CLOCK;
  attributes.flags = DISABLED | NO_KERNEL | NO_HYPERVISOR;
  long event = syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0);
  if (event < 0) skip("no perf_event_open(2) here");
  int protection = count > 1 ? PROT_READ : PROT_READ | PROT_WRITE;
  size_t length = 2 * (size_t)sysconf(_SC_PAGESIZE);
  if (mmap(NULL, length, protection, MAP_SHARED, (int)event, 0) == MAP_FAILED) skip("no perf_event_open(2) here");
  clean_call(build, NULL);
  return 0;
}
