# needs: m4
# Recursive macros, diversions, includes, a loop of thousands of definitions.
. "$LIB"
cat >x.m4 <<'M'
define(`fact', `ifelse($1, 0, 1, `eval($1 * fact(decr($1)))')')fact(10)
define(`loop', `ifelse($1, $2, , `define(`v$1', `value $1')loop(incr($1), $2)')')loop(0, 2000)v1999
divert(1)later
divert(0)first
translit(`abc', `a-c', `A-C') len(`hello') index(`abcdef', `cd') substr(`abcdef', 2, 3) regexp(`GNUs not Unix', `\w\(\w+\)$', `*** \& ***')
esyscmd(`echo child')dnl
define(`forloop', `pushdef(`$1', `$2')_for($@)popdef(`$1')')define(`_for', `$4`'ifelse($1, `$3', , `define(`$1', incr($1))$0($@)')')forloop(`i', 1, 40, `i,')
m4exit(3)
M
set +e; m4 x.m4; echo "status $?"; m4 --fatal-warnings -E <<<'include(missing)'; echo "status $?"
exit 0
