// A clean run without options prints nothing at all.
// EXPECT: clean
// SILENT:
// STDERR: ^$
// STDOUT: ^out$
#include "support.h"

int main(void) {
  printf("out");
  return 0;
}
