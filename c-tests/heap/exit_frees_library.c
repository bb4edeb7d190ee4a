// What a library's destructor frees is no leak: the check runs after the destructors.
// REFERENCE: checks before the destructors of libraries
// LIBRARY: lib_frees.c
// NOT-IN: musl archive: musl destroys a program before its libraries
// EXPECT: clean
#include "support.h"

extern uintptr_t lib_frees_this;

int main(void) {
  lib_frees_this = hidden_malloc(1212);
  return 0;
}
