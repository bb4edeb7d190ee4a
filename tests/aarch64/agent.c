// Runs jobs in the guest: agent JOBS RESULTS WORKERS SECONDS
//
// After SECONDS since the boot no further job is begun, so that what came of the others is still sent.
//
// A job is a file of strings, each ended by a zero byte: seconds until it is killed; "held" or "null" for its standard
// input; its folder, which is made; the number of environment variables and these; the program and its arguments
// (tests/support/guest.rs writes them). Of job N there is then RESULTS/N/out, err, and status: the exit status or minus
// the signal, "late" if it was killed, "left" if a process of its group lived on for two seconds.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char *words[4096];

static void fail(const char *what) {
  perror(what);
  exit(98);
}

static void make_folder(char *path) {
  for (char *at = path + 1; *at; at++)
    if (*at == '/') {
      *at = 0;
      mkdir(path, 0755);
      *at = '/';
    }
  mkdir(path, 0755);
}

static void read_words(const char *path) {
  int file = open(path, O_RDONLY);
  struct stat info;
  if (file < 0 || fstat(file, &info) != 0) fail(path);
  char *text = malloc((size_t)info.st_size + 1);
  if (read(file, text, (size_t)info.st_size) != info.st_size) fail(path);
  size_t count = 0;
  for (char *at = text; at < text + info.st_size; at += strlen(at) + 1) words[count++] = at;
  words[count] = NULL;
  close(file);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

// Whether a process of the group is in a state other than zombie or dead (proc_pid_stat(5)).
static int is_living(pid_t group) {
  if (kill(-group, 0) != 0) return 0;
  DIR *list = opendir("/proc");
  struct dirent *entry;
  int living = 0;
  while ((entry = readdir(list)) != NULL) {
    char path[300], text[512];
    snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
    int file = open(path, O_RDONLY);
    if (file < 0) continue;
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    if (length <= 0) continue;
    text[length] = 0;
    char *behind = strrchr(text, ')'), state;
    int parent, own;
    if (behind && sscanf(behind + 1, " %c %d %d", &state, &parent, &own) == 3 && own == group)
      living |= state != 'Z' && state != 'X';
  }
  closedir(list);
  return living;
}

static void redirect(const char *folder, const char *name, int to) {
  char path[400];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (file < 0 || dup2(file, to) < 0) fail(path);
}

static void job(const char *jobs, const char *results, const char *name) {
  char path[400], folder[400];
  snprintf(path, sizeof path, "%s/%s", jobs, name);
  snprintf(folder, sizeof folder, "%s/%s", results, name);
  read_words(path);
  make_folder(folder);
  double limit = atof(words[0]);
  int held[2];
  if (pipe2(held, O_CLOEXEC) != 0) fail("pipe");
  make_folder(words[2]);
  pid_t child = fork();
  if (child == 0) {
    setpgid(0, 0);
    int input = strcmp(words[1], "held") == 0 ? held[0] : open("/dev/null", O_RDONLY);
    if (dup2(input, 0) < 0 || chdir(words[2]) != 0) fail(words[2]);
    redirect(folder, "out", 1);
    redirect(folder, "err", 2);
    // What this process has open is no business of the program's.
    close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
    int variables = atoi(words[3]);
    for (int i = 0; i < variables; i++) putenv(words[4 + i]);
    execv(words[4 + variables], words + 4 + variables);
    fail(words[4 + variables]);
  }
  setpgid(child, child);
  double start = now();
  int status, late = 0, left = 0;
  while (waitpid(child, &status, WNOHANG) == 0) {
    usleep(2000);
    if (now() - start > limit && !late) {
      late = 1;
      kill(-child, SIGKILL);
    }
  }
  double end = now();
  while (!late && (left = is_living(child)) && now() - end < 2) usleep(5000);
  if (left) kill(-child, SIGKILL);
  redirect(folder, "status", 1);
  printf("%d%s%s %.2f\n", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), late ? " late" : "",
         left ? " left" : "", end - start);
  exit(0);
}

int main(int count, char **arguments) {
  struct dirent **names;
  if (count != 5) return 98;
  int jobs = scandir(arguments[1], &names, NULL, versionsort);
  if (jobs < 0) fail(arguments[1]);
  int workers = atoi(arguments[3]), running = 0;
  for (int i = 0; i < jobs; i++) {
    if (names[i]->d_name[0] == '.') continue;
    if (i % 100 == 0) printf("@@AT %d of %d\n", i, jobs), fflush(stdout);
    if (running == workers && wait(NULL) > 0) running--;
    if (now() > atof(arguments[4])) {
      printf("@@LATE %d of %d were not begun\n", jobs - i, jobs);
      break;
    }
    if (fork() == 0) job(arguments[1], arguments[2], names[i]->d_name);
    running++;
  }
  while (wait(NULL) > 0) {
  }
  return 0;
}
