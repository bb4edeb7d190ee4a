// A pointer from `new T[0]` (T with a destructor) is one past the end of its block and keeps it all the same.
// EXPECT: clean
#include "support.h"

struct T {
  int member;
  ~T();
};
T::~T() { member = 0; }

static T *volatile root;

static void build(void *) { root = new T[0]; }

int main() {
  clean_call(build, nullptr);
  return 0;
}
