# needs: pdftotext pdftoppm pdfunite pdfseparate gs
# PDF files joined, split, rendered and read.
. "$LIB"
for i in 1 2 3; do printf '%%!PS\n/Helvetica findfont 20 scalefont setfont 72 700 moveto (document %d) show 100 100 200 200 rectfill showpage showpage\n' "$i" | gs -q -dBATCH -dNOPAUSE -sDEVICE=pdfwrite -sOutputFile="$i.pdf" -; done
pdfunite 1.pdf 2.pdf 3.pdf all.pdf; pdfinfo all.pdf | grep -E 'Pages|Page size'; pdftotext all.pdf - | tr -d '\f' | grep .; pdftoppm -r 50 -png all.pdf p; ls p*.png | wc -l; pdftoppm -r 40 -gray all.pdf | sums /dev/stdin; pdfseparate all.pdf 's%d.pdf'; ls s*.pdf | wc -l; pdftocairo -svg -f 1 -l 1 all.pdf o.svg; grep -c '<path' o.svg; pdffonts all.pdf | wc -l
set +e; head -c 300 all.pdf >cut.pdf; pdftotext cut.pdf - >/dev/null 2>err; echo "status $?"; head -2 err
exit 0
