// Call stacks are complete without frame pointers, through 25 frames and a callback of libc (qsort), up to main.
// FLAGS: -fomit-frame-pointer -fno-optimize-sibling-calls
// REFERENCE: its fast unwinder stops at the first frame without a frame pointer
// NOT-IN: musl: musl has no unwind information: a stack ends at its first frame
// EXPECT: leak 4242 bytes in 1 object
// STDERR: (?m)^    #2[4-9] 0x[0-9a-f]+ 
#include "support.h"

static volatile int done;

static int compare(const void *a, const void *b) {
  if (!done) use(malloc(4242));
  done = 1;
  scrub();
  return *(const char *)a - *(const char *)b;
}

NOINLINE int deep(int level) {
  char letters[4] = {'d', 'c', 'b', (char)level};
  int result = 0;
  if (level == 0)
    qsort(letters, 4, 1, compare);
  else
    result = deep(level - 1);
  return result + *(char *)use(letters);
}

static void build(void *unused) {
  (void)unused;
  (void)deep(20);
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
