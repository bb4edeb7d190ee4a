# Sourced by every case: `. "$LIB"`. The case runs in an empty directory of its own, with a
# bare environment; what it prints must be the same in every run.
set -euo pipefail

# Waits until something listens on a loopback port. Fails after ten seconds.
wait_port() {
    local i
    for ((i = 0; i < 200; i++)); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return 0; fi
        sleep 0.05
    done
    echo "nothing listens on port $1" >&2
    return 1
}

# Waits until a file exists.
wait_file() {
    local i
    for ((i = 0; i < 200; i++)); do
        [ -e "$1" ] && return 0
        sleep 0.05
    done
    echo "$1 never came" >&2
    return 1
}

# Waits until a process (not necessarily a child) has gone. Fails after fifteen seconds.
wait_gone() {
    local i
    for ((i = 0; i < 300; i++)); do
        [ -d "/proc/$1" ] || return 0
        case $(cat "/proc/$1/stat" 2>/dev/null) in *") Z "*) return 0 ;; esac
        sleep 0.05
    done
    echo "process $1 does not end" >&2
    return 1
}

# words N [SEED]: N lines of made-up text, always the same.
words() {
    awk -v n="$1" -v s="${2:-1}" 'BEGIN {
        split("amber basin cedar delta ember fjord grove harbor island juniper kelp lagoon meadow north ocean prairie quarry river summit tundra", w, " ");
        for (i = 0; i < n; i++) {
            line = "";
            for (j = 0; j < 8; j++) { s = (s * 16807) % 2147483647; line = line w[1 + s % 20] " "; }
            print i, line;
        }
    }'
}

# Prints the checksum and the name of each file, without a path.
sums() { local f; for f in "$@"; do printf '%s %s\n' "$(sha256sum <"$f" | cut -c1-16)" "${f##*/}"; done; }
