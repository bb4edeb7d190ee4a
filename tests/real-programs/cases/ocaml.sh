# needs: ocamlopt
# Compiled to native code and to byte code; garbage collection, exceptions, bigarrays.
. "$LIB"
cat >w.ml <<'M'
module M = Map.Make (String)
let rec fib n = if n < 2 then n else fib (n - 1) + fib (n - 2)
type t = Leaf | Node of t * int * t
let rec make d = if d = 0 then Leaf else Node (make (d - 1), d, make (d - 1))
let rec count = function Leaf -> 0 | Node (l, _, r) -> count l + 1 + count r
let () =
  Printf.printf "%d\n" (fib 25);
  let m = ref M.empty in for i = 0 to 20000 do m := M.add (string_of_int (i mod 500)) i !m done; Printf.printf "%d\n" (M.cardinal !m);
  for _ = 1 to 10 do ignore (count (make 14)) done; Gc.compact (); Printf.printf "%d\n" (count (make 12));
  let a = Bigarray.Array1.create Bigarray.float64 Bigarray.c_layout 100000 in Bigarray.Array1.fill a 1.5; Printf.printf "%.1f\n" a.{777};
  (try failwith "wanted" with Failure s -> print_endline s); (try let rec f n = 1 + f (n + 1) in ignore (f 0) with Stack_overflow -> print_endline "stack overflow"); at_exit (fun () -> print_endline "bye"); exit 3
M
ocamlopt -o nat w.ml 2>/dev/null; ocamlc -o byte w.ml 2>/dev/null; set +e; ulimit -s 8192; ./nat; echo "status $?"; ./byte; echo "status $?"; exit 0
