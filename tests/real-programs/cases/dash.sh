# needs: dash
# Functions, pipes, traps, here-documents, errors.
. "$LIB"
cat >work.sh <<'D'
i=0; while [ $i -lt 3000 ]; do eval "v$i=$i"; i=$((i + 1)); done; echo $v2999
f() { if [ "$1" -lt 2 ]; then echo "$1"; else echo $(($(f $(($1 - 1))) + $(f $(($1 - 2))))); fi; }; f 8
for x in a b c; do echo $x; done | while read y; do echo "-$y"; done; (exit 4) || echo "sub $?"; seq 100 | { s=0; while read n; do s=$((s + n)); done; echo $s; }
trap 'echo got' USR1; kill -USR1 $$; sleep 0.1 & wait; case abc in a*) echo case;; esac; printf '%s-' 1 2 3; echo; set -- x y z; for a; do printf '[%s]' "$a"; done; echo
trap 'echo bye' EXIT; exit 5
D
set +e; dash work.sh; echo "status $?"; dash -c 'nosuchprogram' ; echo "status $?"; (dash -c '(kill -KILL $$) ; echo no'; echo "status $?") 2>/dev/null
exit 0
