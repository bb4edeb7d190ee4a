/* Starts a command and measures it from outside: the only thing in between is this small process.
 *
 * usage: launch [-n TIMES] [-o STDOUT] [-e STDERR] [-E NAME=VALUE]... -r RESULT -- COMMAND ARGS
 * The variables of -E are set for the command only (LD_PRELOAD: this process stays as it is). RESULT gets
 *   runs=N failed=N status=S signal=S wall_us=MEDIAN cpu_us=MEDIAN maxrss_kib=MAX
 * status and signal are those of the first run that failed, else 0. cpu_us is user and system time of the command
 * and of all descendants it waited for.
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>

extern char **environ;

int main(int argc, char **argv) {
  int times = 1, opt, nenv = 0;
  const char *out = "/dev/null", *err = "/dev/null", *result = NULL;
  char *extra[32];
  while ((opt = getopt(argc, argv, "+n:o:e:r:E:")) != -1) {
    if (opt == 'n') times = atoi(optarg);
    else if (opt == 'o') out = optarg;
    else if (opt == 'e') err = optarg;
    else if (opt == 'r') result = optarg;
    else if (opt == 'E' && nenv < 32) extra[nenv++] = optarg;
    else die("usage: launch [-n TIMES] [-o OUT] [-e ERR] [-E NAME=VALUE]... -r RESULT -- COMMAND ARGS");
  }
  if (optind >= argc || !result || times < 1) die("launch: no command or no result file");
  size_t have = 0;
  while (environ[have]) have++;
  char **env = must(calloc(have + (size_t)nenv + 1, sizeof *env));
  size_t n = 0;
  for (size_t i = 0; i < have; i++) {
    int replaced = 0;
    size_t len = (size_t)(strchr(environ[i], '=') - environ[i]) + 1;
    for (int k = 0; k < nenv; k++) replaced |= !strncmp(environ[i], extra[k], len);
    if (!replaced) env[n++] = environ[i];
  }
  for (int k = 0; k < nenv; k++) env[n++] = extra[k];
  posix_spawn_file_actions_t fa;
  posix_spawn_file_actions_init(&fa);
  posix_spawn_file_actions_addopen(&fa, 1, out, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  posix_spawn_file_actions_addopen(&fa, 2, err, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  double *wall = must(calloc((size_t)times, sizeof *wall)), *cpu = must(calloc((size_t)times, sizeof *cpu));
  int failed = 0, status = 0, sig = 0;
  long maxrss = 0;
  for (int i = 0; i < times; i++) {
    pid_t pid;
    uint64_t t0 = wall_ns();
    if ((errno = posix_spawnp(&pid, argv[optind], &fa, NULL, argv + optind, env))) die(strerror(errno));
    int st;
    struct rusage ru;
    while (wait4(pid, &st, 0, &ru) < 0)
      if (errno != EINTR) die("wait4");
    wall[i] = (double)(wall_ns() - t0) / 1e3;
    cpu[i] = (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1e6 +
             (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec);
    if (ru.ru_maxrss > maxrss) maxrss = ru.ru_maxrss;
    if (st && !failed++) {
      if (WIFSIGNALED(st)) sig = WTERMSIG(st);
      else status = WEXITSTATUS(st);
    }
  }
  FILE *f = fopen(result, "w");
  if (!f) die("launch: result file");
  fprintf(f, "runs=%d failed=%d status=%d signal=%d wall_us=%.1f cpu_us=%.1f maxrss_kib=%ld\n", times, failed, status,
          sig, median(wall, times), median(cpu, times), maxrss);
  fclose(f);
  return 0;
}
