// The pointer from `new T[0]` (T with a destructor), one past the end of its block, in a lost object: an indirect leak.
// EXPECT: direct 1000 bytes in 1 object, indirect 8 bytes in 1 object
#include "support.h"

struct T {
  int member;
  ~T();
};
T::~T() { member = 0; }

static void build(void *) {
  T **lost = (T **)malloc(1000);
  memset(lost, 0, 1000);
  lost[50] = new T[0];
  use(lost);
}

int main() {
  clean_call(build, nullptr);
  return 0;
}
