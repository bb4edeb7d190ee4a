// Every operator new and delete: throwing new throws std::bad_alloc, nothrow returns null, the new_handler is called, alignment holds.
// REFERENCE: dies instead of throwing
// FLAGS: -std=c++17 -fsized-deallocation -Wno-unknown-warning-option -Wno-alloc-size-larger-than
// EXPECT: clean
#include "support.h"

#include <initializer_list>
#include <new>

static volatile size_t huge = SIZE_MAX / 2, zero = 0;
static int handled;

static void give_up() {
  if (++handled == 3) std::set_new_handler(nullptr);
}

template <class F>
static bool throws(F call) {
  try {
    call();
  } catch (const std::bad_alloc &) {
    return true;
  }
  return false;
}

int main() {
  const std::align_val_t wide{256};
  for (size_t size : {size_t(0), size_t(1), size_t(100), size_t(5000), size_t(3000000)}) {
    ::operator delete(use(::operator new(size)));
    ::operator delete(use(::operator new(size)), size);
    ::operator delete[](use(::operator new[](size)));
    ::operator delete[](use(::operator new[](size)), size);
    ::operator delete(use(::operator new(size, std::nothrow)), std::nothrow);
    ::operator delete[](use(::operator new[](size, std::nothrow)), std::nothrow);
    void *aligned = ::operator new(size, wide);
    CHECK(reinterpret_cast<uintptr_t>(aligned) % 256 == 0);
    ::operator delete(use(aligned), wide);
    ::operator delete(use(::operator new(size, wide)), size, wide);
    ::operator delete[](use(::operator new[](size, wide)), wide);
    ::operator delete[](use(::operator new[](size, wide)), size, wide);
    ::operator delete(use(::operator new(size, wide, std::nothrow)), wide, std::nothrow);
    ::operator delete[](use(::operator new[](size, wide, std::nothrow)), wide, std::nothrow);
  }
  void *a = ::operator new(zero), *b = ::operator new(zero);
  CHECK(a != b);
  ::operator delete(a);
  ::operator delete(b);
  ::operator delete(nullptr);
  CHECK(::operator new(huge, std::nothrow) == nullptr);
  CHECK(::operator new[](huge, std::nothrow) == nullptr);
  CHECK(::operator new(huge, wide, std::nothrow) == nullptr);
  CHECK(throws([] { use(::operator new(huge)); }));
  CHECK(throws([] { use(::operator new[](huge)); }));
  CHECK(throws([&] { use(::operator new(huge, wide)); }));
  std::set_new_handler(give_up);
  CHECK(throws([] { use(::operator new(huge)); }));
  CHECK(handled == 3);
  handled = 0;
  std::set_new_handler(give_up);
  CHECK(::operator new(huge, std::nothrow) == nullptr && handled == 3);
  std::set_new_handler([] { throw std::bad_alloc(); });
  CHECK(throws([] { use(::operator new(huge)); }));
  return 0;
}
