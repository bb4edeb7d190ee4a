// A function that opens a descriptor and allocates has no frame of ours in the call stack of what it allocated, when nothing is to be noted.
// REFERENCE: has frames of its own for some of them
// NOT-IN: musl: musl has no unwind information: a stack ends at its first frame
// EXPECT: status 23
// STDERR: in malloc [^\n]*\n(?s:.*) in lose [^\n]*frames_of_libc\.c
// STDERR-NOT: opendir_for|in opendir [^\n]*libstandstill
#include "support.h"
#include <dirent.h>

static void lose(void *unused) {
  (void)unused;
  CHECK(opendir("/") != NULL);
}

int main(void) {
  clean_call(lose, NULL);
  return 0;
}
