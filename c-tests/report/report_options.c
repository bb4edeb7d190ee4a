// report_objects lists each lost object, max_leaks cuts the list and says so, malloc_context_size bounds the stacks, print_summary=0 leaves the summary out.
// LEVELS: -O0
// EXPECT-WITH report_objects=1: leak 700 bytes in 3 objects
// STDERR: (?m)^Objects leaked above:\n0x[0-9a-f]+ \(\d+ bytes\)$
// EXPECT-WITH max_leaks=1: status 23
// STDERR: (?m)^The 1 top leak\(s\):$
// STDERR: (?m)^Direct leak of 400 byte
// STDERR: (?m)^Omitting 2 more leak\(s\)\.$
// STDERR-NOT: Direct leak of 200
// EXPECT-WITH malloc_context_size=2: leak 700 bytes in 3 objects
// STDERR-NOT: (?m)^    #2 
// EXPECT-WITH print_summary=0: status 23
// STDERR: Direct leak of 400
// STDERR-NOT: SUMMARY
#include "support.h"

NOINLINE void one(void) { use(malloc(100)); }
NOINLINE void two(void) { use(malloc(200)); }
NOINLINE void four(void) { use(malloc(400)); }

static void build(void *unused) {
  (void)unused;
  two();
  four();
  one();
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
