# The main job on a real node. Every command is the one a user would type.

[ -x "${CASTOFF_BIN:-}" ] || die "CASTOFF_BIN names the castoff to be tried"

node_up bookworm-dockershim n

HOST=http://127.0.0.1:8081/   # the pod on the host's network
PORT=http://10.0.2.15:8082/   # the pod on the bridge, by its host port
CRI=unix:///run/containerd/containerd.sock
answers() { on n curl -sf -m 10 "$1"; }

# field FILE PATH: a value out of a JSON document of this scenario (`a.b.0.c`; `[key=value]` picks from a list).
field() {
    python3 - "$LAB_RESULTS/$1" "$2" <<'PY'
import json, sys
value = json.load(open(sys.argv[1]))
for part in sys.argv[2].split("."):
    if part.startswith("["):
        key, wanted = part[1:-1].split("=", 1)
        value = next(item for item in value if str(item[key]) == wanted)
    else:
        value = value[int(part)] if isinstance(value, list) else value[part]
print(value if isinstance(value, str) else json.dumps(value))
PY
}
# from FILE PATH: where a sourced value comes from, as `path:line`.
from() { echo "$(field "$1" "$2.origin.path"):$(field "$1" "$2.origin.line")"; }
save_json() { local file=$1; shift; on n "$@" >"$LAB_RESULTS/$file"; }
snapshot() { on n 'sh -s' <"$SCENARIO_DIR/snapshot.sh" >"$LAB_RESULTS/$1"; }
same_as() { snapshot "$2" && diff "$LAB_RESULTS/$1" "$LAB_RESULTS/$2"; }
exits() { local wanted=$1 code; shift; "$@"; code=$?; [ $code = "$wanted" ] || { echo "exit code $code, expected $wanted"; return 1; }; }
phases() {
    python3 - "$LAB_RESULTS/$1" <<'PY'
import json, sys
report = json.load(open(sys.argv[1]))
print("phases:", ", ".join(f"{p['name']} {p['seconds']:.1f} s" for p in report["phases"]))
print("downtime:", report["downtime"], "rollback:", report.get("rollback_downtime") or report.get("rollbackDowntime"))
PY
}
scopes() { on n 'find /sys/fs/cgroup/kubepods.slice -name "cri-containerd-*.scope" | wc -l'; }
on_containerd() {
    [ "$(scopes)" = 4 ] && answers $HOST && answers $PORT && ! on n systemctl is-active docker.service docker.socket
}
on_docker() {
    answers $HOST && answers $PORT && on n 'test "$(docker ps -q --filter label=io.kubernetes.docker.type=container | wc -l)" = 2' &&
        [ "$(on n 'find /sys/fs/cgroup/kubepods.slice -name "cri-containerd-*.scope" 2>/dev/null | wc -l')" = 0 ]
}

check "both pods answer on Docker" on_docker
snapshot before

note "-- inspect"
check "inspect" save_json facts.json castoff inspect -o json
check_out "Docker's version, from the daemon" '"daemon"' python3 -c "import json;print(json.dumps(json.load(open('$LAB_RESULTS/facts.json'))['docker']['version']['origin']['kind']))"
check_out "Docker's cgroup driver" cgroupfs field facts.json docker.cgroupDriver.value
check_out "  and its place" /etc/docker/daemon.json:2 from facts.json docker.cgroupDriver
check_out "CRI is disabled" false field facts.json containerd.criEnabled.value
check_out "  and its place" /etc/containerd/config.toml:5 from facts.json containerd.criEnabled
check_out "schema of an unversioned file" 1 field facts.json containerd.configVersion.value
check_out "kubelet's version" 1.20.2 field facts.json kubelet.version.value
check_out "kubelet runs pods on dockershim" dockershim field facts.json kubelet.runtime.value
check_out "  and what says so" /var/lib/kubelet/kubeadm-flags.env:1 from facts.json kubelet.runtime
check_out "kubelet's cgroup driver" cgroupfs field facts.json kubelet.cgroupDriver.value
check_out "the drop-in names the configuration" /etc/systemd/system/kubelet.service.d/10-kubeadm.conf field facts.json 'kubelet.flags.[name=config].origin.path'
check_out "cgroup mode" unified field facts.json cgroup.mode.value
check_out "systemd" 252 sh -c "python3 -c \"import json;print(json.load(open('$LAB_RESULTS/facts.json'))['node']['systemd']['value'][:3])\""

note "-- plan"
check "plan, text" save_json plan.txt castoff plan --out /root/plan.json
check "it shows a unified diff" grep -q '^-disabled_plugins = \["cri"\]' "$LAB_RESULTS/plan.txt"
check "plan, JSON" save_json plan.json castoff plan -o json
check_out "the document's kind" Plan field plan.json kind
check_out "both plans are the same plan" "$(field plan.json digest)" on n 'sed -n "s/.*\"digest\": \"\(sha256:[0-9a-f]*\)\",/\1/p" /root/plan.json | head -n 1'
check_out "the saved plan is private" 600 on n stat -c %a /root/plan.json
check "changes pending is exit code 2 when asked for" exits 2 on n castoff plan --detailed-exitcode --no-diff
check "nothing was written" same_as before planned

note "-- a support bundle"
planned_elsewhere() { # planned_elsewhere BUNDLE: the digest of the plan that comes out of a bundle on this machine
    "$CASTOFF_BIN" plan -o json --root "$LAB_RESULTS/$1" >"$LAB_RESULTS/bundle-plan.json" && field bundle-plan.json digest
}
check "a bundle is made" on n castoff inspect --bundle /root/node.tar.zst
check_fails "  and nothing is warned of" on n 'castoff inspect --bundle /root/again.tar.gz 2>&1 | grep warning'
check_out "  for root only" 600 on n stat -c %a /root/node.tar.zst
check "it is fetched" get n /root/node.tar.zst "$LAB_RESULTS/node.tar.zst"
check_out "the plan made elsewhere has the digest of the plan on the node" "$(field plan.json digest)" planned_elsewhere node.tar.zst
mkdir -p "$LAB_RESULTS/unpacked"
check "it is fetched as .tar.gz" get n /root/again.tar.gz "$LAB_RESULTS/again.tar.gz"
check "tar unpacks it" tar -xzf "$LAB_RESULTS/again.tar.gz" -C "$LAB_RESULTS/unpacked"
check_out "  and it is a root like the archive" "$(field plan.json digest)" planned_elsewhere unpacked
check "nothing was written for it beside the bundle" same_as before bundled

note "-- refusals"
on n 'cp -a /var/lib/kubelet/config.yaml /root/config.yaml; echo "# touched" >>/var/lib/kubelet/config.yaml'
check "a stale plan is refused" exits 1 on n castoff apply --yes /root/plan.json
check "  and says which file" on n 'castoff apply --yes /root/plan.json 2>&1 | grep -q "/var/lib/kubelet/config.yaml was changed since the plan was made"'
on n 'cp -a /root/config.yaml /var/lib/kubelet/config.yaml'
check "without --yes and terminal nobody is asked" exits 64 on n 'castoff migrate </dev/null'
check "a second castoff is told to wait" exits 75 on n 'flock /run/castoff.lock castoff apply --yes /root/plan.json'
check "not root is exit code 77" exits 77 on n 'setpriv --reuid 65534 --regid 65534 --clear-groups castoff migrate --yes'
check "nothing was changed by refusals" same_as before refused

note "-- apply the saved plan"
check "apply" save_json applied.json castoff apply --yes -o json /root/plan.json
check_out "outcome" applied field applied.json outcome
note "$(phases applied.json)"
check "the same pods run on containerd, in scopes of systemd" on_containerd
check "verify proves it" exits 0 on n castoff verify --detailed-exitcode
check "verify, JSON" save_json verify.json castoff verify -o json
for id in cri-version cri-plugin cri-ready kubelet-command-line pod-cgroup; do
    check_out "  $id" pass field verify.json "checks.[id=$id].status"
done
check "comments and foreign keys are kept" on n 'grep -q "^  level = \"info\"" /etc/containerd/config.toml && grep -q "^# The engine does not need the CRI plugin." /etc/containerd/config.toml'
check "Docker is masked" on n 'test "$(systemctl is-enabled docker.service)" = masked && test "$(systemctl is-enabled docker.socket)" = masked'
check "crictl finds the runtime by itself" on n "! command -v crictl >/dev/null || crictl ps -q"
check_out "a second run is one line" "node already is as wanted. No changes." on n castoff migrate --yes
check "history tells of it" on n 'castoff history | grep -q committed'

note "-- rollback"
check "rollback" save_json rolled.json castoff rollback -o json
check_out "outcome" rolled-back field rolled.json outcome
note "$(phases rolled.json)"
check "the pods run on Docker again, and on Docker only" on_docker
check "every file, mode, owner, link and unit state is as it was" same_as before after

note "-- the wizard, and commit"
# Somebody at a terminal: enter for "show the plan and go on", G for all of it, then the node's name to confirm.
wizard() {
    # Each answer waits for its question: an emulated node can take long to look at itself.
    on n "asked() { for i in \$(seq 200); do grep -q -e \"\$1\" /root/wizard.log && return; sleep 1; done; }
        rm -f /root/wizard.log; touch /root/wizard.log
        ( asked 'What now'; sleep 1; printf '\\r'; asked '-- more'; sleep 1; printf 'G'; asked 'Type the node'; sleep 1; printf 'node\\r'; sleep 300 ) 2>/dev/null |
        script -qefc 'castoff migrate --no-trial' /dev/null >/root/wizard.log 2>&1 &
        sleep 1"
    on n 'for i in $(seq 300); do grep -Eq "unless you keep it|^error" /root/wizard.log && break; sleep 1; done
        cat /root/wizard.log; grep -q "unless you keep it: *castoff commit" /root/wizard.log'
}
check "migrate asks and does it" wizard
check "the pods run on containerd" on_containerd
check "the run is open until commit" on n 'castoff history | grep -q "applied"'
check "commit" on n castoff commit
check "a committed run can still be taken back" on n castoff rollback
check "the pods run on Docker again" on_docker

note "-- interrupted, and killed with -9"
signalled_at() { # signalled_at SIGNAL STEP: starts a migration, sends the signal when that step has begun; its exit code
    on n "cd /var/lib/castoff/runs; old=\$(ls | tail -n 1)
        castoff migrate --yes --no-trial >/root/signalled.log 2>&1 & p=\$!
        for i in \$(seq 1200); do
            new=\$(ls | tail -n 1)
            [ \$new != \$old ] && grep -qs '\"id\":\"$2\"' \$new/journal.jsonl && break
            sleep 0.1
        done
        kill -$1 \$p; wait \$p; code=\$?; cat /root/signalled.log; exit \$code"
}
killed_at() { signalled_at KILL "$1"; on n 'castoff history | grep -q dirty'; }
check "Ctrl-C while pods are being awaited: taken back, exit code 130" exits 130 signalled_at INT await-pods
check "the pods run on Docker, and on Docker only" on_docker
check "killed while Docker's files were being replaced" killed_at kubelet-config
check "a new migration is refused while that stands" exits 1 on n castoff migrate --yes
check "resume ends it in the new state" on n castoff resume
check "the pods run on containerd" on_containerd
check "rollback" on n castoff rollback
check "killed while kubelet was being started" killed_at start-kubelet
check "rollback ends it in the old state" on n castoff rollback
check "the pods run on Docker, and on Docker only" on_docker
check "every file, mode, owner, link and unit state is as it was" same_as before killed
