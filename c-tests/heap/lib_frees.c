// A shared library whose destructor frees a hidden pointer. Part of exit_frees_library.
#include "support.h"

uintptr_t lib_frees_this;

__attribute__((destructor)) static void free_it(void) {
  if (lib_frees_this) free(unhide(lib_frees_this));
}
