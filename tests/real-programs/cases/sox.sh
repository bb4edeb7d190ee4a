# needs: sox
# Tones, effects, mixing and conversion.
. "$LIB"
sox -D -r 8000 -n a.wav synth 1 sine 440 gain -3; sox -D -r 8000 -n b.wav synth 1 square 220 gain -6; sox -D -m a.wav b.wav c.wav reverb lowpass 2000; sox -D c.wav -r 16000 d.wav tempo 1.5 pitch 100; sox -D c.wav -t raw -e mu-law - | sums /dev/stdin; sox d.wav -n stat 2>&1 | grep -E 'Samples|Length'; sox -D a.wav b.wav e.flac 2>/dev/null || sox -D a.wav b.wav e.au; sox --i -d d.wav; set +e; sox missing.wav x.wav 2>&1; exit 0
