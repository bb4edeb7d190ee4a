// exit() called by a thread other than main, while others run: checked, with the buffered output kept.
// FLAGS: -pthread
// REFERENCE: loses what is still in the buffer when it finds leaks
// EXPECT: clean
// STDOUT: ^kept$
// EXPECT: leak 4242 bytes in 1 object
// ARGS: lose
// STDOUT: ^kept$
#include "support.h"
#include <pthread.h>

static void lose(void *unused) {
  (void)unused;
  use(malloc(4242));
}

static void *body(void *arguments) {
  void *volatile mine = malloc(1212);
  if (arguments) clean_call(lose, NULL);
  printf("kept");
  exit(mine == NULL);
}

int main(int count, char **arguments) {
  pthread_t thread;
  void *volatile mine = malloc(2323);
  CHECK(pthread_create(&thread, NULL, body, count > 1 ? arguments : NULL) == 0);
  for (;;) pause();
  return mine == NULL;
}
