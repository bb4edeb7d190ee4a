# needs: tclsh
# Lists, dictionaries, regular expressions, files, events, a socket to itself, threads of the notifier, a child.
. "$LIB"
cat >w.tcl <<'T'
proc fib n { expr {$n < 2 ? $n : [fib [expr {$n - 1}]] + [fib [expr {$n - 2}]]} }
puts [fib 18]
set d [dict create]; for {set i 0} {$i < 20000} {incr i} { dict lappend d [expr {$i % 41}] $i }; puts "[dict size $d] [llength [dict get $d 7]]"
set l [lsort -integer -decreasing [lmap x [lrange [dict get $d 3] 0 20] {expr {$x * 3 % 101}}]]; puts $l
puts [regsub -all {(\w+)@(\w+)} "a@b c@d" {\2 at \1}]; puts [string length [string repeat abc 20000]]; puts [exec echo from a child]
proc accept {c a p} { puts $c "hello from server"; close $c }
set s [socket -server accept -myaddr 127.0.0.1 0]; set port [lindex [fconfigure $s -sockname] 2]
set c [socket -async 127.0.0.1 $port]; fileevent $c readable {set line [gets $c]; set done 1}; vwait done; puts $line; close $c; close $s
coroutine gen apply {{} { yield; for {set i 0} {1} {incr i} { yield [expr {$i * $i}] } }}; puts [list [gen] [gen] [gen] [gen]]
oo::class create P { variable n; constructor x { set n $x }; method get {} { return $n } }; for {set i 0} {$i < 500} {incr i} { lappend ps [P new $i] }; puts [[lindex $ps 77] get]; foreach p $ps { $p destroy }
after 50 {set x done}; vwait x; puts $x; puts [expr {2**200}]; puts [catch {error wanted} m] ; puts $m; exit 3
T
set +e; tclsh w.tcl; echo "status $?"
exit 0
