// A leak made in a forked child is reported by the child, with its own exit status 23; the parent stays clean.
// EXPECT: some leak of 4242 bytes in 1 object
// EXIT: 0
#include "support.h"
#include <sys/wait.h>

static void lose(void *unused) {
  (void)unused;
  use(malloc(4242));
}

int main(void) {
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    clean_call(lose, NULL);
    exit(0);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 23);
  return 0;
}
