// A program started with an empty environment and without arguments is checked; options of the program itself hold.
// NOT-IN: preload: the environment names the preload
// EXPECT: leak 4242 bytes in 1 object
// EXIT: 0
#include "support.h"
#include <sys/wait.h>

static void lose(void *unused) {
  (void)unused;
  use(malloc(4242));
}

int main(int count, char **arguments) {
  if (count == 0 || getenv("PATH") == NULL) {
    clean_call(lose, NULL);
    return 0;
  }
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    char *none[] = {arguments[0], NULL};
    execve("/proc/self/exe", none, none + 1);
    _exit(98);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 23);
  return 0;
}
