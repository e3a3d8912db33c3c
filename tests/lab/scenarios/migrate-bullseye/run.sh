# The same main job where everything is older than on bookworm.

[ -x "${CASTOFF_BIN:-}" ] || die "CASTOFF_BIN names the castoff to be tried"

node_up bullseye-dockershim b

HOST=http://127.0.0.1:8081/   # the pod on the host's network
PORT=http://10.0.2.15:8082/   # the pod on the bridge, by its host port
answers() { on b curl -sf -m 10 "$1"; }
exits() { local wanted=$1 code; shift; "$@"; code=$?; [ $code = "$wanted" ] || { echo "exit code $code, expected $wanted"; return 1; }; }
scopes() { on b 'find /sys/fs/cgroup/memory/kubepods.slice -type d -name "cri-containerd-*.scope" | wc -l'; }
on_containerd() { [ "$(scopes)" = 4 ] && answers $HOST && answers $PORT && ! on b systemctl is-active docker.service docker.socket; }
on_docker() { [ "$(scopes)" = 0 ] && answers $HOST && answers $PORT; }

check "both pods answer on Docker" on_docker
check "plan" on b castoff plan
check "migrate" on b castoff migrate --yes
on b 'castoff show | sed -n "/^Phases/,/^Proof/p"' | sed 's/^/     /'
check "the same pods run on containerd, in scopes of systemd, on cgroup v1" on_containerd
check "verify proves it" exits 0 on b castoff verify --detailed-exitcode
check "over CRI v1alpha2" on b 'castoff verify | grep -q "speaks CRI v1alpha2"'
check_out "a second run is one line" "node already is as wanted. No changes." on b castoff migrate --yes
check "rollback" on b castoff rollback
check "the pods run on Docker again, and on Docker only" on_docker
