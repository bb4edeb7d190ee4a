# needs: tmux
# A server of its own with windows and panes; keys are sent, screens captured, the server killed.
. "$LIB"
export TERM=screen; t() { tmux -S "$TMPDIR/s" -f /dev/null "$@"; }
t new-session -d -s main -x 80 -y 24 'exec sh'; pid=$(t display-message -p '#{pid}')
t send-keys -t main 'i=0; while [ $i -lt 30 ]; do echo line $i; i=$((i + 1)); done; echo do''ne' Enter
for i in $(seq 100); do t capture-pane -p -t main | grep -q '^done' && break; sleep 0.05; done
t capture-pane -p -t main | grep -E '^line 2[5-9]|^done'; t split-window -t main -h 'cat'; t new-window -t main -n second 'sleep 100'; t list-windows -t main -F '#{window_index} #{window_panes}'
t resize-window -t main:0 -x 100 -y 40; t set-buffer 'pasted text'; t paste-buffer -t main:0.1; t set-option -g status-left hello; t show-options -g status-left
for i in $(seq 40); do t new-window -d -t main "echo $i; sleep 50"; done; t list-windows -t main | wc -l; t set-environment X y; t show-environment X; t run-shell 'echo from run-shell'
t has-session -t nothing 2>&1 || true; t kill-server; wait_gone "$pid"; echo gone
