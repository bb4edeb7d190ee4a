# needs: xgettext msgfmt msgmerge
# Message catalogues extracted, merged, compiled and used.
. "$LIB"
awk 'BEGIN { print "#include <libintl.h>\nint main(void) {"; for (i = 0; i < 300; i++) printf "gettext(\"message %d\");\n", i; print "}" }' >a.c
xgettext --omit-header -k -kgettext -o a.pot a.c; grep -c msgid a.pot; { printf 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\n'; sed 's/^msgid "\(.*\)"/&/; s/^msgstr ""/msgstr "Nachricht"/' a.pot; } >de.po; msgfmt --statistics -o de.mo de.po 2>&1; sums de.mo; msgmerge -q de.po a.pot | grep -c Nachricht; msgunfmt de.mo | wc -l; msgattrib --untranslated a.pot | wc -l; set +e; echo 'msgid "x' | msgfmt -o /dev/null - 2>&1 | tail -1; exit 0
