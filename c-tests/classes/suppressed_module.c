// A leak whose stack goes through a module that matches a suppression is no leak; no symbol is needed for that.
// LIBRARY: lib_leaks.c
// EXPECT: leak 4242 bytes in 1 object
// EXPECT-WITH suppressions=%d/file: clean
// ARGS: %d/file
#include "support.h"

extern void lib_leaks(void *);

int main(int count, char **arguments) {
  if (count > 1) {
    FILE *file = fopen(arguments[1], "w");
    CHECK(file != NULL && fputs("leak:liblib_leaks.so\n", file) >= 0);
    CHECK(fclose(file) == 0);
  }
  clean_call(lib_leaks, NULL);
  return 0;
}
