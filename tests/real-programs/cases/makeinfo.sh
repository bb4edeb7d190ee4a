# needs: makeinfo
# Texinfo to info and HTML by a large perl program with XS modules.
. "$LIB"
{ printf '\\input texinfo\n@settitle Demo\n@node Top\n@top Demo\n@menu\n'; for i in $(seq 60); do echo "* C$i::"; done; echo '@end menu'; for i in $(seq 60); do printf '@node C%d\n@chapter Chapter %d\n@cindex word%d\n%s @code{x} @emph{y}\n@itemize\n@item one\n@item two\n@end itemize\n' "$i" "$i" "$i" "$(words 2 "$i")"; done; printf '@node I\n@unnumbered Index\n@printindex cp\n@bye\n'; } >d.texi
makeinfo --no-split d.texi -o d.info 2>/dev/null; grep -av 'texi2any\|makeinfo version' d.info | sums /dev/stdin; makeinfo --html --no-split d.texi -o d.html 2>/dev/null; grep -c '<h2' d.html; makeinfo --plaintext d.texi 2>/dev/null | wc -l
