// C++ objects: what is lost is counted as asked for, in every variant of operator new.
// EXPECT: leak 1476 bytes in 5 objects
#include "support.h"

#include <new>

struct alignas(64) Wide {
  char bytes[256];
};
struct Counted {
  char bytes[100];
  ~Counted() { use(bytes); }
};

static void build(void *) {
  use(new char[100]);              /* 100 */
  use(new (std::nothrow) char[200]); /* 200 */
  use(new Wide);                   /* 256 */
  use(new Wide[2]);                /* 512 */
  use(new Counted[4]);               /* 8 (the count) + 400 */
}

int main() {
  clean_call(build, nullptr);
  return 0;
}
