// Signals interrupt malloc and free at any moment, and their handlers allocate, free and fork: nothing hangs, blocks keep their contents.
// TIMEOUT: 120
// EXPECT: clean
#include "support.h"
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

enum { SLOTS = 64, KINDS = 8 };

static const size_t sizes[KINDS] = {8, 24, 100, 700, 5000, 30000, 200000, 3000000};
static volatile sig_atomic_t handled, forks;
static unsigned seed = 1;

static void allocate(size_t size) {
  char *block = malloc(size);
  if (!block) return; /* a large block may be refused inside of a handler */
  memset(block, (int)size, size);
  char *bigger = realloc(block, size + 9);
  if (bigger) block = bigger;
  CHECK(block[0] == (char)size && block[size - 1] == (char)size);
  free(block);
}

static void fork_one(void) {
  pid_t child = fork();
  if (child == 0) {
    allocate(64);
    _exit(0);
  }
  int status;
  CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
  forks++;
}

/* The next signal is asked for when this one is done with, so that the work goes on between the two on a slow machine too. */
static void arm(void) {
  struct itimerval once = {{0, 0}, {0, 50 + handled * 37 % 500}};
  CHECK(setitimer(ITIMER_REAL, &once, NULL) == 0);
}

static void on_signal(int signal) {
  (void)signal;
  handled++;
  for (int i = 0; i < KINDS - (handled % 4 != 0); i++) allocate(sizes[i]);
  if (handled % 16 == 0) fork_one();
  arm();
}

/* Replaces blocks, of all kinds of size, until so many signals have come. */
static void work(int wanted) {
  char *slots[SLOTS] = {0};
  size_t held[SLOTS] = {0};
  while (handled < wanted) {
    unsigned r = (seed = seed * 1103515245u + 12345u) >> 8, slot = r % SLOTS, kind = r / SLOTS % 100;
    CHECK(!slots[slot] || slots[slot][held[slot] - 1] == (char)slot);
    free(slots[slot]);
    held[slot] = sizes[kind < 95 ? kind % 5 : 5 + kind % 3];
    slots[slot] = malloc(held[slot]);
    CHECK(slots[slot]);
    slots[slot][held[slot] - 1] = (char)slot;
  }
  for (int i = 0; i < SLOTS; i++) free(slots[i]);
}

int main(void) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  struct itimerval never = {{0, 0}, {0, 0}};
  sigaction(SIGALRM, &action, NULL);
  arm();
  work(repeats(1000));
  setitimer(ITIMER_REAL, &never, NULL);
  CHECK(forks > 0);
  return 0;
}
