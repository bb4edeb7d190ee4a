// A scope that nobody ended, or whose end could not check, hides no leak of the scope around, and its number comes back.
// FLAGS: -pthread
// EXPECT: leak 1800 bytes in 6 objects
// STDERR: no leak scope was begun: 15 are open already
// STDERR: standstill_scope_end: no scope of this thread is open in the struct
#include "support.h"

#include <csetjmp>
#include <pthread.h>

#include <standstill.h>

static uintptr_t hidden[16];
static int count, off;
static jmp_buf place;

extern "C" int __lsan_is_turned_off(void) { return off; }

static void lose(void *) { hidden[count++] = hidden_malloc(300); }

/* Leaves its scope by longjmp. */
static NOINLINE void jumps() {
  standstill_scope scope = STANDSTILL_SCOPE_INIT;
  CHECK(standstill_scope_begin(&scope) == STANDSTILL_CLEAN);
  clean_call(lose, nullptr);
  longjmp(place, 1);
}

static NOINLINE void abandon(int times) {
  volatile int left = times;
  setjmp(place);
  if (left-- > 0) jumps();
}

static void *ends_in_a_scope(void *) {
  standstill_scope scope = STANDSTILL_SCOPE_INIT;
  CHECK(standstill_scope_begin(&scope) == STANDSTILL_CLEAN);
  return nullptr;
}

/* The leaks of a scope that `inside` runs in; it is clean otherwise. */
static uint64_t leaks_of(void (*inside)()) {
  standstill::LeakScope scope(STANDSTILL_CHECK_QUIET);
  inside();
  scrub();
  standstill_check_result result = STANDSTILL_RESULT_INIT;
  int code = scope.end(&result);
  CHECK(code == (result.direct_objects ? STANDSTILL_LEAKS : STANDSTILL_CLEAN));
  CHECK(scope.clean() == (code == STANDSTILL_CLEAN));
  return result.direct_objects;
}

static void nothing() {}

int main() {
  CHECK(leaks_of([] { abandon(3); }) == 3);
  CHECK(leaks_of(nothing) == 0);

  /* The wrong order: what ended with the outer one is known to nobody. */
  {
    standstill_scope outer = STANDSTILL_SCOPE_INIT;
    CHECK(standstill_scope_begin(&outer) == STANDSTILL_CLEAN);
    standstill::LeakScope inner;
    CHECK(standstill_scope_end(&outer, nullptr) == STANDSTILL_CLEAN);
    CHECK(!inner.clean() && inner.end() == STANDSTILL_BAD_ARGUMENT);
  }

  for (int i = 0; i < 20; i++) {
    pthread_t thread;
    CHECK(pthread_create(&thread, nullptr, ends_in_a_scope, nullptr) == 0 && pthread_join(thread, nullptr) == 0);
  }
  CHECK(leaks_of(nothing) == 0);

  /* Turned off meanwhile, and from the begin on. */
  for (int i = 0; i < 20; i++) {
    standstill::LeakScope scope(STANDSTILL_CHECK_QUIET);
    if (i == 0) clean_call(lose, nullptr);
    off = 1;
    CHECK(scope.clean() && scope.end() == STANDSTILL_TURNED_OFF);
    standstill::LeakScope none;
    CHECK(none.clean() && none.end() == STANDSTILL_TURNED_OFF);
    off = 0;
  }
  CHECK(leaks_of(nothing) == 0);

  /* What an inner scope could not check is the outer one's. */
  CHECK(leaks_of([] {
          standstill::LeakScope inner;
          clean_call(lose, nullptr);
          off = 1;
          CHECK(inner.end() == STANDSTILL_TURNED_OFF);
          off = 0;
        }) == 1);

  {
    standstill_scope all[15];
    for (standstill_scope &scope : all) {
      scope = STANDSTILL_SCOPE_INIT;
      CHECK(standstill_scope_begin(&scope) == STANDSTILL_CLEAN);
    }
    standstill::LeakScope one_too_many;
    CHECK(!one_too_many.clean() && one_too_many.end() == STANDSTILL_COULD_NOT_CHECK);
    all[0].flags = STANDSTILL_CHECK_QUIET;
    CHECK(standstill_scope_end(&all[0], nullptr) == STANDSTILL_CLEAN);
  }
  clean_call(lose, nullptr);
  return 0;
}
