// log_path sends the report to PATH.PID and nothing to standard error.
// REFERENCE: says nothing about a file that cannot be opened
// EXPECT-WITH log_path=%d/log: status 23
// SILENT:
// STDERR: ^$
// FILE: ^log\.\d+$ SUMMARY: LeakSanitizer: 4242 byte\(s\) leaked in 1 allocation\(s\)\.
// EXPECT-WITH log_path=stdout: status 23
// SILENT:
// STDOUT: SUMMARY: LeakSanitizer: 4242 byte\(s\) leaked
// EXPECT-WITH log_path=%d/log:log_exe_name=1: status 23
// FILE: ^log\.[a-z-]+\.\d+$ SUMMARY: LeakSanitizer: 4242 byte\(s\) leaked
// EXPECT-WITH log_path=%d/no/such/folder/log: status 23
// STDERR: (?i)no/such/folder/log
#include "support.h"

static void lose(void *unused) {
  (void)unused;
  use(malloc(4242));
}

int main(void) {
  clean_call(lose, NULL);
  return 0;
}
