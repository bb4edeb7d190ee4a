# needs: guile
# A language whose garbage collector scans memory itself (Boehm GC), with its own threads and signals.
. "$LIB"
export GUILE_AUTO_COMPILE=0
cat >w.scm <<'S'
(use-modules (ice-9 threads) (srfi srfi-1) (ice-9 regex) (ice-9 popen) (ice-9 rdelim))
(define (fib n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2)))))
(display (fib 22)) (newline)
(define h (make-hash-table)) (do ((i 0 (+ i 1))) ((= i 30000)) (hash-set! h i (make-vector 6 i))) (gc) (display (hash-count (const #t) h)) (newline)
(display (apply + (par-map (lambda (n) (length (iota (* n 1000)))) '(1 2 3 4 5 6)))) (newline)
(define t (map (lambda (i) (call-with-new-thread (lambda () (let loop ((k 0) (l '())) (if (< k 5000) (loop (+ k 1) (cons k l)) (length l)))))) (iota 4))) (display (map join-thread t)) (newline)
(display (expt 7 300)) (newline) (display (call/cc (lambda (k) (dynamic-wind (lambda () #t) (lambda () (k 'out)) (lambda () (display "unwind "))))))
(newline) (let* ((p (open-input-pipe "echo from a child")) (s (read-line p))) (close-pipe p) (display s)) (newline)
(display (string-length (with-output-to-string (lambda () (for-each display (iota 3000)))))) (newline) (catch 'wanted (lambda () (throw 'wanted 1)) (lambda (k . a) (display k))) (newline) (exit 4)
S
set +e; guile -s w.scm; echo "status $?"; exit 0
