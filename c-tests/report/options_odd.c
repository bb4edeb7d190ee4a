// Unknown options and bad values give one clear line each and are otherwise ignored; separators may be mixed; help=1 prints the table.
// REFERENCE: says nothing about unknown options, dies of bad values
// EXPECT-WITH no_such_option=3: clean
// STDERR: (?m)^.*no_such_option.*$
// EXPECT-WITH exitcode=many: leak 4242 bytes in 1 object
// ARGS: lose
// STDERR: (?m)^.*many.*exitcode.*$
// EXPECT-WITH use_stacks=1,exitcode=40 use_tls=1: leak 4242 bytes in 1 object
// ARGS: lose
// EXIT: 40
// EXPECT-WITH help=1: clean
// STDERR: use_globals
// STDERR: malloc_context_size
// EXPECT: clean
// ENV: LSAN_OPTIONS=strict_memcmp=1:intercept_tls_get_addr=0
// STDERR-NOT: strict_memcmp
// EXPECT: leak 4242 bytes in 1 object
// ARGS: lose
// ENV: LSAN_OPTIONS=exitcode=41
// EXIT: 41
#include "support.h"

static void lose(void *unused) {
  (void)unused;
  use(malloc(4242));
}

int main(int count, char **arguments) {
  (void)arguments;
  if (count > 1) clean_call(lose, NULL);
  return 0;
}
