# needs: strace
# Traces a shell with children: here every process is traced already when the checker would trace it.
. "$LIB"
strace -f -qq -o log -e trace=execve,exit_group sh -c 'true; /bin/echo one; (exit 3); /bin/echo two | cat; exit 4' || echo "status $?"
grep -c 'execve(' log; grep -o 'exit_group(4)' log; strace -f -c -o sum -e trace=clone,fork,vfork,wait4 sh -c '/bin/true; /bin/true' && echo counted
set +e; (strace -qq -e trace=none -o /dev/null sh -c 'kill -USR1 $$'; echo "status $?") 2>/dev/null; strace -f -qq -e trace=none -o /dev/null sort --parallel=4 -S 1M -n "$LIB" | sums /dev/stdin
exit 0
