// A block of malloc that operator delete frees is freed; with verbosity=1 that is said where reports go, and not on stderr.
// REFERENCE: does not tell the families apart
// EXPECT-WITH log_path=%d/log:verbosity=1: status 0
// STDERR-NOT: freed by
// FILE: ^log\.\d+$ allocated by malloc and is freed by operator delete
#include "support.h"

#include <new>

int main() {
  void *volatile block = malloc(77);
  operator delete(block);
}
