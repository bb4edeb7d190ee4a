// With interior_possible what only pointers into the middle hold is possible, but for arrays, lengths, strings and bases.
// REFERENCE: it has no such option
// EXPECT: clean
// ARGS: middle
// EXPECT-WITH interior_possible=1: possible 100 bytes in 1 object
// ARGS: middle
// EXPECT-WITH interior_possible=1: clean
// ARGS: start
// EXPECT-WITH interior_possible=1: clean
// ARGS: array
// EXPECT-WITH interior_possible=1:interior_heuristics=none: possible 248 bytes in 1 object
// ARGS: array
// EXPECT-WITH interior_possible=1: clean
// ARGS: length
// EXPECT-WITH interior_possible=1:interior_heuristics=multipleinheritance+stdstring: possible 123 bytes in 1 object
// ARGS: length
// EXPECT-WITH interior_possible=1: clean
// ARGS: string
// EXPECT-WITH interior_possible=1:interior_heuristics=length64+multipleinheritance: possible 125 bytes in 1 object
// ARGS: string
// EXPECT-WITH interior_possible=1: clean
// ARGS: base
// EXPECT-WITH interior_possible=1:interior_heuristics=stdstring: possible 200 bytes in 1 object
// ARGS: base
// EXPECT-WITH interior_possible=1: possible 140 bytes in 2 objects
// ARGS: child
#include "support.h"

#include <new>

struct Counted {
  ~Counted() { __asm__ volatile(""); }
  char space[24];
};
struct First {
  virtual ~First() {}
  long space[3];
};
struct Second {
  virtual ~Second() {}
  long space[2];
};
struct Both : First, Second {
  char more[144];
};

static void *volatile held;
static const char *what;

static bool is(const char *name) { return strcmp(what, name) == 0; }

static void build(void *) {
  if (is("start")) held = malloc(100);
  if (is("middle")) held = static_cast<char *>(malloc(100)) + 40;
  if (is("array")) held = new Counted[10];
  if (is("length")) {
    size_t *block = static_cast<size_t *>(malloc(123));
    block[0] = 123 - 8;
    held = block + 1;
  }
  if (is("string")) {
    // length, capacity, count of references, characters and a zero: std::string before C++11's.
    size_t *block = static_cast<size_t *>(calloc(1, 24 + 100 + 1));
    block[0] = 7;
    block[1] = 100;
    held = block + 3;
  }
  if (is("base")) held = static_cast<Second *>(new Both);
  if (is("child")) {
    // What only such an object holds is possible too.
    void **block = static_cast<void **>(calloc(1, 100));
    block[2] = malloc(40);
    held = block + 7;
  }
}

int main(int count, char **arguments) {
  static_assert(sizeof(Both) == 200, "as the ABI lays it out");
  what = count > 1 ? arguments[1] : "";
  clean_call(build, nullptr);
  return 0;
}
