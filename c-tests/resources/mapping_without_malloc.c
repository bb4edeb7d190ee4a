// A program that never allocates and loses a mapping: report_mappings=1 tells of it, without the option nothing is looked for.
// NOT-IN: archive: needs functions of the C library behind its own
// NOT-IN: static: needs functions of the C library behind its own
// REFERENCE: it does not watch mappings
// EXPECT-WITH report_mappings=1: clean
// STDERR: Not unmapped: 1048576 byte\(s\) in 1 mapping\(s\)
// EXPECT: clean
// STDERR-NOT: Not unmapped
#include "support.h"
#include <sys/mman.h>

static void lose(void *unused) {
  (void)unused;
  volatile char *lost = (volatile char *)mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(lost != MAP_FAILED);
  lost[0] = 1;
}

int main(void) {
  clean_call(lose, NULL);
  return 0;
}
