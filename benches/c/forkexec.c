/* fork(2) and execve(2) of a command, over and over: what build systems and shells do.
 *
 * usage: forkexec TIMES COMMAND [ARGS]
 * Under a preload the parent has it as well as each command: the fork, its handlers and the start are in the time.
 * Prints the median and mean wall time from before the fork to the end of the wait, CPU time of the commands a run, and
 * the largest resident set of any.
 */
#include "bench.h"

#include <sys/resource.h>
#include <sys/wait.h>

int main(int argc, char **argv) {
  if (argc < 3) die("usage: forkexec TIMES COMMAND [ARGS]");
  int times = atoi(argv[1]);
  if (times < 1) die("forkexec: how many times?");
  double *wall = must(calloc((size_t)times, sizeof *wall)), sum = 0;
  long maxrss = 0;
  for (int i = 0; i < times; i++) {
    uint64_t t0 = wall_ns();
    pid_t pid = fork();
    if (pid < 0) die("fork");
    if (!pid) {
      execvp(argv[2], argv + 2);
      _exit(99);
    }
    int status;
    struct rusage usage;
    if (wait4(pid, &status, 0, &usage) != pid || status) die("the command failed");
    wall[i] = (double)(wall_ns() - t0) / 1e3;
    sum += wall[i];
    if (usage.ru_maxrss > maxrss) maxrss = usage.ru_maxrss;
  }
  struct rusage all;
  getrusage(RUSAGE_CHILDREN, &all);
  double cpu = (double)(all.ru_utime.tv_sec + all.ru_stime.tv_sec) * 1e6 +
               (double)(all.ru_utime.tv_usec + all.ru_stime.tv_usec);
  printf("wall_us=%.1f mean_us=%.1f cpu_us=%.1f rss_mib=%.2f\n", median(wall, times), sum / times, cpu / times,
         (double)maxrss / 1024);
  free(wall);
  return 0;
}
