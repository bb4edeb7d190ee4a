// The report has LeakSanitizer's form to the letter: header, one line a leak, numbered frames, summary; equal stacks are one line.
// REFERENCE: stacks of one frame at -O2
// EXPECT: direct 300 bytes in 3 objects, indirect 50 bytes in 1 object
// STDERR: (?m)^\n={65}\n==\d+==ERROR: LeakSanitizer: detected memory leaks\n\n
// STDERR: (?m)^Direct leak of 300 byte\(s\) in 3 object\(s\) allocated from:\n    #0 0x[0-9a-f]+ 
// STDERR: (?m)^    #1 0x[0-9a-f]+ .*\n    #2 0x[0-9a-f]+ 
// STDERR: (?m)^Direct leak[\s\S]*^Indirect leak of 50 byte\(s\) in 1 object\(s\) allocated from:$
// STDERR: (?m)^SUMMARY: LeakSanitizer: 350 byte\(s\) leaked in 4 allocation\(s\)\.$
#include "support.h"

NOINLINE void *make(size_t size) { return use(memset(malloc(size), 0, size)); }
static volatile int three = 3;

static void build(void *unused) {
  (void)unused;
  void **last = NULL;
  for (int i = 0; i < three; i++) last = (void **)make(100);
  last[1] = use(memset(malloc(50), 0, 50));
  use(last);
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
