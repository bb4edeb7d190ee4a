# needs: aspell
# Spelling with suggestions and a word list.
. "$LIB"
words 300 | sed 's/amber/ambr/; s/delta/dellta/' >text; aspell --lang=en --home-dir="$PWD" list <text | sort | uniq -c; printf 'helo\nwrold\n' | aspell --lang=en --home-dir="$PWD" -a | grep -c '&'; aspell --lang=en dump config | grep -c '^lang'; printf 'aaa\nbbb\n' | aspell --lang=en create master ./m.rws && aspell --lang=en --add-extra-dicts=./m.rws --home-dir="$PWD" list <<<'aaa ccc'
