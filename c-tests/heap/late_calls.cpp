// Allocations and frees in exit handlers, static destructors, TSD destructors of dying threads and library destructors work.
// FLAGS: -pthread
// EXPECT: clean
#include "support.h"

#include <pthread.h>

#include <string>
#include <vector>

static pthread_key_t key;
static int rounds;
static std::vector<std::string> *kept;

struct Late {
  ~Late() {
    std::vector<std::string> strings;
    for (int i = 0; i < 1000; i++) strings.push_back(std::string(static_cast<size_t>(i), 'x'));
    CHECK(strings[999].size() == 999);
    delete kept;
    kept = nullptr;
  }
};
static Late late;

static void destructor(void *value) {
  free(value);
  if (rounds++ < 3) CHECK(pthread_setspecific(key, use(malloc(100))) == 0);
}
static void *thread_main(void *) {
  CHECK(pthread_setspecific(key, malloc(100)) == 0);
  thread_local std::string local(500, 'y');
  return use(&local) ? nullptr : nullptr;
}
static void handler() { free(use(malloc(4242))); }
__attribute__((destructor)) static void last() { free(use(malloc(77))); }

int main() {
  pthread_t thread;
  kept = new std::vector<std::string>(100, std::string(100, 'z'));
  atexit(handler);
  CHECK(pthread_key_create(&key, destructor) == 0);
  CHECK(pthread_create(&thread, nullptr, thread_main, nullptr) == 0);
  CHECK(pthread_join(thread, nullptr) == 0);
  CHECK(rounds >= 3);
  return 0;
}
