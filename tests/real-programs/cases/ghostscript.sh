# needs: gs ps2pdf pdftotext pdfinfo
# PostScript to a picture and to PDF; the PDF to text.
. "$LIB"
cat >a.ps <<'P'
%!PS
/Times-Roman findfont 24 scalefont setfont
1 1 5 { /n exch def 72 700 moveto (Page number ) show n 10 string cvs show
 0 10 360 { dup 360 div 1 1 sethsbcolor gsave 300 400 translate rotate 0 0 moveto 200 0 lineto stroke grestore } for
 0 setgray 72 600 moveto /Helvetica findfont 12 scalefont setfont (the quick brown fox) show showpage } for
/fact { dup 1 le { pop 1 } { dup 1 sub fact mul } ifelse } def 10 fact ==
P
gs -q -dBATCH -dNOPAUSE -dSAFER -sDEVICE=ppmraw -r50 -sOutputFile='p%d.ppm' a.ps; sums p*.ppm; gs -q -dBATCH -dNOPAUSE -sDEVICE=bbox a.ps 2>&1 | grep -c HiRes
gs -q -dBATCH -dNOPAUSE -sDEVICE=pdfwrite -sOutputFile=a.pdf a.ps >/dev/null; pdfinfo a.pdf | grep Pages; pdftotext a.pdf - | grep -c fox; gs -q -dBATCH -dNOPAUSE -sDEVICE=png16m -dNumRenderingThreads=2 -r60 -sOutputFile=q.png a.pdf; sums q.png
set +e; echo 'nonsense operator' | gs -q -dBATCH -dNOPAUSE -sDEVICE=nullpage - >out 2>&1; echo "status $?"; head -1 out
exit 0
