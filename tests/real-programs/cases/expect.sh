# needs: expect bash
# Drives a shell through a pseudo terminal.
. "$LIB"
cat >e <<'E'
set timeout 10
log_user 0
spawn -noecho bash --norc --noprofile
send "PS1='go> '\r"; expect "\ngo> "
for {set i 0} {$i < 30} {incr i} { send "echo value \$(($i * 7))\r"; expect -re "\nvalue (\\d+)"; lappend l $expect_out(1,string); expect "go> " }
puts $l; send "exit 7\r"; expect eof; puts [lindex [wait] 3]
spawn -noecho cat; send "hello\r"; expect "hello\r\nhello" { puts echoed }; close; wait
exit 2
E
set +e; expect e; echo "status $?"; exit 0
