// A misuse in a loop is reported once for its call stacks, and at the end it is said how many were not.
// REFERENCE: does not look
// EXPECT-WITH mismatch=warn: status 0
// STDERR: mismatched free[\s\S]*first_place[\s\S]*mismatched free[\s\S]*other_place[\s\S]*Standstill: 998 more misuses of the heap were not told
// STDERR-NOT: mismatched free[\s\S]*mismatched free of[\s\S]*mismatched free of
// LEVELS: -O0
#include "support.h"

NOINLINE void first_place(char *block) { free(use(block)); }
NOINLINE void other_place(char *block) { free(use(block)); }

int main() {
  for (volatile int i = 0; i < 1000; i++) (i % 2 == 0 ? first_place : other_place)(new char[77]);
  return 0;
}
