# needs: fish
# A threaded shell: functions, lists, string builtins, command substitution, errors.
. "$LIB"
cat >w.fish <<'F'
set -l l; for i in (seq 500); set -a l (math $i x 2); end; echo (count $l) $l[-1]
function f; if test $argv[1] -lt 2; echo $argv[1]; else; math (f (math $argv[1] - 1)) + (f (math $argv[1] - 2)); end; end; f 6
string replace -ra 'a(.)' '<$1>' banana; string split , a,b,c | string join -; echo one two | read -l x y; echo $y; seq 10 | while read n; test $n = 5; and break; end; echo $n
for i in (seq 5); begin; echo $i; end | cat; end | string collect; false; or echo or; switch abc; case 'a*'; echo case; end; nosuchprogram; echo $status; exit 5
F
set +e; fish --no-config w.fish 2>err; echo "status $?"; grep -c nosuchprogram err; exit 0
