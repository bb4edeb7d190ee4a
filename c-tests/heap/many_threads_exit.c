// Threads that end give everything back: 3000 short threads in a row stay within bounded memory, and their results are freed by others.
// FLAGS: -pthread
// TIMEOUT: 60
// EXPECT: clean
#include "support.h"
#include <pthread.h>

static void *body(void *argument) {
  void *blocks[50];
  for (int i = 0; i < 50; i++) blocks[i] = use(malloc((size_t)i * 100));
  for (int i = 0; i < 50; i++) free(blocks[i]);
  free(argument);
  return malloc(300);
}

int main(void) {
  for (int round = 0; round < repeats(3000); round++) {
    pthread_t thread;
    void *result;
    CHECK(pthread_create(&thread, NULL, body, malloc(300)) == 0);
    CHECK(pthread_join(thread, &result) == 0);
    free(result);
  }
  long pages = 0, ignored;
  FILE *file = fopen("/proc/self/statm", "r");
  CHECK(file != NULL && fscanf(file, "%ld %ld", &ignored, &pages) == 2);
  fclose(file);
  CHECK(pages * 4 < 60 << 10);
  return 0;
}
