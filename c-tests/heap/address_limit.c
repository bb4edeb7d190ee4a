// Under a small address-space limit (ulimit -v) the heap works, and running out of it is ENOMEM, not a crash.
// REFERENCE: reserves terabytes
// EXPECT: clean
#include "support.h"
#include <errno.h>
#include <sys/resource.h>
#include <sys/wait.h>

int main(int count, char **arguments) {
  if (count == 1) {
    struct rlimit limit = {400u << 20, 400u << 20};
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    execl("/proc/self/exe", arguments[0], "limited", (char *)NULL);
    failed(__FILE__, __LINE__, "execl");
  }
  static void *blocks[100000];
  int have = 0;
  while (have < 100000 && (blocks[have] = malloc(10000)) != NULL) memset(blocks[have++], 1, 10000);
  CHECK(errno == ENOMEM && have > 10000);
  for (int i = 0; i < have; i++) {
    free(blocks[i]);
    blocks[i] = NULL;
  }
  void *volatile again = malloc(1000);
  CHECK(again != NULL);
  free(again);
  return 0;
}
