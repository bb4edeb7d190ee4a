# needs: vim
# A scripted edit: substitution, sort, macros, undo, syntax colours, a Vim script with closures, and a terminal of its own.
. "$LIB"
words 800 >text
cat >edit.vim <<'V'
set nocp noswapfile viminfo= undolevels=1000
syntax on
set ft=c
%s/amber/AMBER/g
g/delta/normal Iline: 
%sort n
normal ggqaA!jq
normal 50@a
normal uu
let l = map(range(1, 300), {i, v -> {'n': v, 's': repeat('x', v)}})
call filter(l, {i, v -> v.n % 7 == 0})
call append(0, string(len(l)))
call append(0, json_encode(l[0:1]))
function! F(n)
  return a:n < 2 ? a:n : F(a:n - 1) + F(a:n - 2)
endfunction
call append(0, string(F(15)))
split | vsplit | only
w! out
qa!
V
vim -u NONE -N -es -S edit.vim text </dev/null; sums out; head -3 out; wc -l <out
set +e; vim -u NONE -N -es -c 'cquit 3' </dev/null; echo "status $?"
exit 0
