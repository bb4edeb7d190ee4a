// A scope tells of what its own thread allocated in it and lost: not of older leaks, other threads', or what is still held.
// FLAGS: -pthread
// EXPECT: leak 1460 bytes in 7 objects
#include "support.h"

#include <pthread.h>

#include <standstill.h>

static uintptr_t hidden[16];
static int count;
static void *volatile kept;

static void lose(void *size) { hidden[count++] = hidden_malloc((size_t)size); }

static void *other_thread(void *unused) {
  (void)unused;
  clean_call(lose, (void *)300);
  return NULL;
}

static uint64_t end(struct standstill_scope *scope) {
  struct standstill_check_result result = STANDSTILL_RESULT_INIT;
  scrub();
  int code = standstill_scope_end(scope, &result);
  CHECK(code == STANDSTILL_CLEAN || code == STANDSTILL_LEAKS);
  CHECK((code == STANDSTILL_LEAKS) == (result.direct_bytes > 0));
  return result.direct_bytes;
}

int main(void) {
  struct standstill_scope outer = STANDSTILL_SCOPE_INIT, inner = STANDSTILL_SCOPE_INIT;
  clean_call(lose, (void *)100);
  CHECK(standstill_scope_begin(&outer) == STANDSTILL_CLEAN);
  CHECK(standstill_scope_begin(&outer) == STANDSTILL_BAD_ARGUMENT);
  clean_call(lose, (void *)200);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, other_thread, NULL) == 0 && pthread_join(thread, NULL) == 0);

  CHECK(standstill_scope_begin(&inner) == STANDSTILL_CLEAN);
  kept = malloc(150);
  clean_call(lose, (void *)400);
  inner.flags = STANDSTILL_CHECK_QUIET;
  CHECK(end(&inner) == 400);
  /* What the inner scope kept and then lost is the outer one's. */
  kept = NULL;
  outer.flags = STANDSTILL_CHECK_QUIET;
  CHECK(end(&outer) == 200 + 400 + 150);

  /* Nothing is left of them: the same struct, and a scope that is clean. */
  CHECK(standstill_scope_begin(&inner) == STANDSTILL_CLEAN);
  free(malloc(10));
  kept = malloc(20);
  CHECK(end(&inner) == 0);
  CHECK(standstill_scope_end(&inner, NULL) == STANDSTILL_BAD_ARGUMENT);

  /* Sixteen at a time are too many; an end makes room. */
  struct standstill_scope many[16];
  for (int i = 0; i < 16; i++) {
    struct standstill_scope init = STANDSTILL_SCOPE_INIT;
    many[i] = init;
    many[i].flags = STANDSTILL_CHECK_QUIET;
    CHECK(standstill_scope_begin(&many[i]) == (i < 15 ? STANDSTILL_CLEAN : STANDSTILL_COULD_NOT_CHECK));
  }
  clean_call(lose, (void *)10);
  CHECK(end(&many[14]) == 10);
  CHECK(standstill_scope_begin(&many[15]) == STANDSTILL_CLEAN);
  clean_call(lose, (void *)300);
  CHECK(end(&many[15]) == 300);
  for (int i = 13; i >= 0; i--) CHECK(end(&many[i]) == 310);
  return 0;
}
