// A leak whose stack or module matches a suppression is no leak: hook, file, and a pattern that does not match.
// FLAGS: -rdynamic
// EXPECT: clean
// ARGS: hook
// EXPECT: clean
// ARGS: hook
// STDERR: Suppressions used:
// STDERR: \s1 +4242 suppressed_by_h
// EXPECT-WITH print_suppressions=0: clean
// ARGS: hook
// STDERR-NOT: Suppressions used:
// EXPECT-WITH suppressions=%d/file: clean
// ARGS: file %d/file
// EXPECT-WITH suppressions=%d/file: leak 4242 bytes in 1 object
// ARGS: other %d/file
#include "support.h"

const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "# a comment\n\nleak:suppressed_by_h*k\n"; }

NOINLINE void suppressed_by_hook(void *unused) {
  use(malloc(4242));
  (void)unused;
}
NOINLINE void suppressed_by_file(void *unused) {
  use(malloc(4242));
  (void)unused;
}
NOINLINE void reported(void *unused) {
  use(malloc(4242));
  (void)unused;
}

int main(int count, char **arguments) {
  if (count == 3) {
    FILE *file = fopen(arguments[2], "w");
    CHECK(file != NULL && fputs("leak:^suppressed_by_file$\nleak:nothing_of_this_name\n", file) >= 0);
    CHECK(fclose(file) == 0);
  }
  char kind = arguments[1][0];
  clean_call(kind == 'h' ? suppressed_by_hook : kind == 'f' ? suppressed_by_file : reported, NULL);
  return 0;
}
