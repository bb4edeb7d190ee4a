// Call stacks are complete in a program whose segments lie apart, as linkers for larger pages make them: its unwind tables may then be in another segment than its code.
// FLAGS: -fomit-frame-pointer -fno-optimize-sibling-calls -rdynamic -Wno-unused-command-line-argument -Wl,-z,max-page-size=0x100000 -Wl,-z,separate-code
// REFERENCE: its fast unwinder stops at the first frame without a frame pointer
// NOT-IN: musl: musl has no unwind information: a stack ends at its first frame
// EXPECT: leak 4242 bytes in 1 object
// STDERR: #0 .*\n *#1 .* lowest.*\n *#2 .* middle.*\n *#3 .* highest[\s\S]* main
#include "support.h"

void lowest(void);
void middle(void);
void highest(void);

NOINLINE void lowest(void) {
  use(malloc(4242));
  scrub();
}

NOINLINE void middle(void) {
  lowest();
  scrub();
}

NOINLINE void highest(void) {
  middle();
  scrub();
}

int main(void) {
  highest();
  scrub();
  return 0;
}
