# needs: sed grep
# Substitutions, hold space, branches, in-place edits; grep with and without PCRE, uniq, cut, tr, paste.
. "$LIB"
words 20000 >text
sed -E 's/(\w+) (\w+) (\w+)/\3 \1 \2/; /harbor/d; s/a/A/3g' text | sums /dev/stdin; sed -n '1!G;h;$p' <(head -300 text) | sums /dev/stdin; sed ':a;N;$!ba;s/\n/|/g' <(head -500 text) | wc -c
sed -i.bak -e '5,10s/^/> /' -e '$a\end' text; tail -1 text; { diff text text.bak || true; } | grep -c '^<'; sed -n '/ember/{s//EMBER/gp;q}' text
grep -c harbor text; grep -Eo '[a-f]\w+r' text | sort | uniq -c | sort -rn | sed -n 1,3p; grep -P '(?<=cedar )delta(?! quarry)' text | wc -l; grep -rc tundra . | sort
cut -d' ' -f2-3 text | tr a-z A-Z | sort -u | wc -l; paste -d, <(seq 3) <(seq 4 6); head -100 text | fold -w 30 | nl | tail -1; set +e; sed 's/x' text 2>&1; grep nothinglikethis text; echo "status $?"
exit 0
