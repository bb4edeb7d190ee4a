/* Tests of checks that wake nobody: how often other threads were switched out, and whether they all sleep. */
#ifndef CTESTS_STOP_ASLEEP_H
#define CTESTS_STOP_ASLEEP_H

#include "support.h"
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>

/* Leaves the process four CPUs at most: a check watches instead of stopping from some threads for each CPU on. */
static void take_few_cpus(void) {
  cpu_set_t all, few;
  int count = 0;
  CPU_ZERO(&few);
  CHECK(sched_getaffinity(0, sizeof all, &all) == 0);
  for (size_t cpu = 0; cpu < CPU_SETSIZE && count < 4; cpu++)
    if (CPU_ISSET(cpu, &all)) CPU_SET(cpu, &few), count++;
  CHECK(sched_setaffinity(0, sizeof few, &few) == 0);
}

static long switches(int whose) {
  struct rusage usage;
  CHECK(getrusage(whose, &usage) == 0);
  return usage.ru_nvcsw + usage.ru_nivcsw;
}

static long switches_of_others(void) {
  for (;;) {
    long own = switches(RUSAGE_THREAD), all = switches(RUSAGE_SELF);
    /* Otherwise this thread was switched out between the two. */
    if (switches(RUSAGE_THREAD) == own) return all - own;
  }
}

/* At least `least` other threads are asleep, and none is awake, by what the kernel says: one that gets no CPU for long only
 * seems to be. */
static int all_sleep(int least) {
  int others = 0, awake = 0;
  DIR *tasks = opendir("/proc/self/task");
  CHECK(tasks != NULL);
  for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
    char path[300], text[200] = "";
    if (task->d_name[0] == '.' || atoi(task->d_name) == own_tid()) continue;
    snprintf(path, sizeof path, "/proc/self/task/%s/stat", task->d_name);
    int file = open(path, O_RDONLY);
    if (file >= 0 && read(file, text, sizeof text - 1) > 0 && strrchr(text, ')')) awake += strrchr(text, ')')[2] != 'S';
    if (file >= 0) close(file);
    others++;
  }
  closedir(tasks);
  return others >= least && awake == 0;
}

/* Waits until they sleep; the last are on their way. */
static void await_sleep(int least) {
  for (long last = -1; last != switches_of_others() || !all_sleep(least);) {
    last = switches_of_others();
    usleep(200000 * slowness());
  }
}

#endif
