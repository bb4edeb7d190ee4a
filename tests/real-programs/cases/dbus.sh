# needs: dbus-daemon dbus-send dbus-monitor
# A message bus of its own with clients.
. "$LIB"
cat >conf <<C
<busconfig><type>session</type><listen>unix:path=$TMPDIR/bus</listen><auth>EXTERNAL</auth><policy context="default"><allow send_destination="*"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>
C
dbus-daemon --config-file="$PWD/conf" --nofork --nosyslog 2>log & bus=$!; wait_file "$TMPDIR/bus"; export DBUS_SESSION_BUS_ADDRESS="unix:path=$TMPDIR/bus"; s() { dbus-send --session --print-reply=literal --dest=org.freedesktop.DBus / "org.freedesktop.DBus.$1"; }
dbus-monitor --session >mon 2>/dev/null & mon=$!; s ListNames | tr -d ' \t\n' | grep -c org.freedesktop; for i in $(seq 20); do s GetId >/dev/null; done; set +e; s Nonsense 2>&1 | cut -d: -f1; kill "$mon"; wait "$mon" 2>/dev/null; kill "$bus"; wait "$bus"; echo "status $?"; grep -c "became a monitor" log; exit 0
