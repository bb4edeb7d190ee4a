# needs: emacs
# Batch: byte compilation, buffers, regular expressions, org export, garbage collection, a subprocess, a thread.
. "$LIB"
words 500 >text
cat >work.el <<'E'
(require 'cl-lib) (require 'json)
(defun fib (n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2)))))
(princ (format "%d\n" (fib 18)))
(with-temp-buffer
  (insert-file-contents "text")
  (goto-char (point-min))
  (let ((n 0)) (while (re-search-forward "\\bharbor\\b" nil t) (replace-match "HARBOR" t) (setq n (1+ n))) (princ (format "%d\n" n)))
  (sort-lines nil (point-min) (point-max))
  (princ (format "%s\n" (secure-hash 'sha256 (current-buffer)))))
(let ((h (make-hash-table :test 'equal)))
  (dotimes (i 20000) (puthash (format "k%d" i) (make-vector 5 i) h))
  (garbage-collect)
  (princ (format "%d\n" (hash-table-count h))))
(princ (shell-command-to-string "echo from a child"))
(let ((th (make-thread (lambda () (fib 12))))) (princ (format "%d\n" (thread-join th))))
(princ (format "%s\n" (json-encode '((a . 1) (b . [1 2 3])))))
(condition-case e (error "wanted") (error (princ (format "%s\n" (error-message-string e)))))
(with-temp-buffer (emacs-lisp-mode) (insert "(defun f (x)\n(let ((y x))\ny))") (indent-region (point-min) (point-max)) (font-lock-ensure) (princ (buffer-substring-no-properties (point-min) (point-max))))
(princ "\n")
(kill-emacs 3)
E
set +e; emacs -Q --batch -l work.el; echo "status $?"
printf '(defun g (x) (* x x))\n(provide (quote g))\n' >g.el; emacs -Q --batch -f batch-byte-compile g.el 2>&1 | sed -n 1,3p; ls g.elc
exit 0
