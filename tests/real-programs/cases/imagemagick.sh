# needs: convert identify compare
# Drawing, blurring (OpenMP threads), converting between formats, a montage of frames, a comparison.
. "$LIB"
convert -size 300x200 gradient:red-blue -fill white -draw 'circle 150,100 150,50' -blur 0x3 -rotate 30 a.png
convert a.png -resize 50% -colorspace Gray -quality 80 b.jpg; convert a.png b.jpg -append c.ppm; convert c.ppm -edge 1 -colors 16 d.gif
for f in a.png b.jpg c.ppm d.gif; do identify -format '%f %m %wx%h %[channels]\n' "$f"; done; convert c.ppm rgb:- | sums /dev/stdin
convert -delay 10 a.png '(' a.png -negate ')' '(' a.png -swirl 90 ')' -loop 0 anim.gif; identify -format '%p %wx%h\n' anim.gif
set +e; compare -metric AE a.png a.png null: 2>&1; echo; convert missing.png x.png 2>&1 | sed -n 1,1p | cut -c1-60
exit 0
