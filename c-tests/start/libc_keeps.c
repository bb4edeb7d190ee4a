// dlsym, dlerror, setlocale, getaddrinfo, popen, threads of libc's own (timer_create with SIGEV_THREAD): what libc keeps for itself is no leak.
// FLAGS: -pthread -lrt -ldl
// EXPECT: clean
#include "support.h"
#include <dlfcn.h>
#include <locale.h>
#include <netdb.h>
#include <signal.h>
#include <sys/auxv.h>
#include <time.h>

static volatile int fired;
static void on_timer(union sigval value) {
  (void)value;
  fired = 1;
}

static void build(void *unused) {
  (void)unused;
  struct addrinfo *found = NULL;
  char line[64];
  CHECK(dlsym(RTLD_DEFAULT, "no_such_symbol_anywhere") == NULL && dlerror() != NULL);
  CHECK(dlopen("/no/such/library.so", RTLD_NOW) == NULL);
  /* A static program has no loader that could say why. */
  CHECK(dlerror() != NULL || getauxval(AT_BASE) == 0);
  setlocale(LC_ALL, "C.UTF-8");
  if (getaddrinfo("127.0.0.1", "80", NULL, &found) == 0) freeaddrinfo(found);
  FILE *command = popen("echo hello", "r");
  CHECK(command != NULL && fgets(line, sizeof line, command) != NULL && pclose(command) == 0);
  CHECK(strerror(4711) != NULL && strsignal(SIGRTMIN + 5) != NULL);
  setenv("SOME_NAME", "some value", 1);
  unsetenv("SOME_NAME");
  tzset();
  timer_t timer;
  struct sigevent event;
  struct itimerspec soon = {{0, 0}, {0, 1000000}};
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_THREAD;
  event.sigev_notify_function = on_timer;
  CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 && timer_settime(timer, 0, &soon, NULL) == 0);
  for (int i = 0; i < 1000 && !fired; i++) usleep(1000);
  CHECK(fired && timer_delete(timer) == 0);
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
