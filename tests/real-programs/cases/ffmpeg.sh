# needs: ffmpeg ffprobe
# Test pictures and tones encoded, decoded again and filtered, with threads.
. "$LIB"
f() { ffmpeg -hide_banner -loglevel error -nostdin -y "$@"; }
f -f lavfi -i testsrc=size=320x240:rate=25:duration=2 -f lavfi -i sine=frequency=440:duration=2 -threads 2 -c:v mpeg4 -b:v 500k -c:a aac -bitexact -flags:v +bitexact -flags:a +bitexact out.mp4
sums out.mp4; f -i out.mp4 -f framemd5 - | sums /dev/stdin
f -i out.mp4 -vf 'scale=160:120,hue=s=0,transpose=1' -frames:v 10 -f image2 'p%02d.png'; ls p*.png | wc -l
f -f lavfi -i testsrc2=size=160x120:rate=10:duration=1 -c:v libx264 -threads 2 -preset ultrafast x.mkv && f -i x.mkv -f framemd5 - | grep -vc '^#'
ffprobe -v error -show_entries stream=codec_name,width,nb_frames -of csv out.mp4
set +e; f -i missing.mp4 o.mp4; echo "status $?"
exit 0
