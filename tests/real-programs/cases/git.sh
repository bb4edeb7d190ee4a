# needs: git
# A history of commits, branches, merges, blame, gc, clone and fsck.
. "$LIB"
export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@b GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000' GIT_PAGER=cat
git init -q -b main repo; cd repo; git config gc.auto 0; git config pack.threads 2
words 400 >a; mkdir d; for i in $(seq 30); do words 20 "$i" >"d/$i"; done
git add .; git commit -q -m first
for i in 1 2 3 4 5; do sed -i "${i}s/\$/ changed $i/" a; rm "d/$i"; words 30 "$((i + 50))" >"d/new$i"; git add -A; git commit -q -m "change $i"; done
git checkout -q -b side HEAD~3; words 50 99 >side; git add side; git commit -q -m side; git checkout -q main
git merge -q -m merged side; git tag -a v1 -m v1
git log --stat --oneline | sums /dev/stdin; git log --graph --format='%h %s'; git blame -s a | sums /dev/stdin
git diff HEAD~4 --stat | tail -1; git grep -c harbor | sort | sed -n 1,3p
git rebase -q HEAD~1 --onto HEAD~2 >/dev/null 2>&1 || git rebase --abort; git stash list
git gc -q --aggressive --prune=now; git fsck --full 2>&1 | sort; git count-objects -v | grep -E 'in-pack|packs'
cd ..; git clone -q --no-local repo copy 2>&1; cd copy; git log --oneline | wc -l; git archive HEAD | tar t | wc -l; git status --short
set +e; git checkout nonsense; echo "status $?"
exit 0
