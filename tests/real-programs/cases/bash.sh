# needs: bash
# Subshells, arrays, traps, process substitution, coprocesses, jobs, here-documents, signals.
. "$LIB"
cat >work.sh <<'B'
declare -A h; declare -a a
for ((i = 0; i < 3000; i++)); do a[i]=$((i * i)); h[k$((i % 50))]+="$i,"; done
echo "${#a[@]} ${#h[@]} ${#h[k7]} ${a[@]:10:5}"
f() { local n=$1; if ((n < 2)); then echo "$n"; else echo $(($(f $((n - 1))) + $(f $((n - 2))))); fi; }; f 7
s=$(for i in {1..200}; do echo "$i"; done | (while read -r x; do ((t += x)); done; echo "$t")); echo "$s"
while read -r x y; do echo "$y-$x"; done < <(printf '%s\n' 'a b' 'c d'); diff <(seq 5) <(seq 6) || echo differ
coproc cat; echo through >&"${COPROC[1]}"; read -r line <&"${COPROC[0]}"; echo "$line"; exec {COPROC[1]}>&-; wait
trap 'echo usr1' USR1; kill -USR1 $$; trap 'echo err' ERR; false; trap - ERR
for i in 1 2 3 4; do (exit "$i") & p[i]=$!; done; for i in 1 2 3 4; do wait "${p[i]}"; echo "job $?"; done
cat <<E | tr a-z A-Z
here $((6 * 7)) ${a[3]}
E
str=$(printf 'x%.0s' {1..5000}); str=${str//x/yz}; echo "${#str}"; [[ abc123 =~ ([a-z]+)([0-9]+) ]] && echo "${BASH_REMATCH[2]}"
(sleep 5 & kill $!; wait $! 2>/dev/null; echo "killed $?"); (ulimit -n 20; echo limited); (kill -TERM $BASHPID); echo "term $?"
mapfile -t m < <(seq 2000); echo "${#m[@]}"; eval 'e() { echo "eval $1"; }'; e 1; type -t e; printf '%q\n' "a b'c"; set -- a b c; shift; echo "$#"
trap 'echo exit trap' EXIT; exec 2>/dev/null; exit 3
B
set +e; bash work.sh; echo "status $?"; bash -c 'x=$((1/0))' 2>&1 | sed 's/^[^:]*: //'; bash -n work.sh && echo syntax
exit 0
