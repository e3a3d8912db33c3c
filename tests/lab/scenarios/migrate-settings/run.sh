# A node whose Docker has registry mirrors, an insecure registry, proxies, log options, ulimits and its data on a disk of
# its own. What was carried is not read back from files alone: images are pulled, limits read off a running process, the
# environment off containerd's.

[ -x "${CASTOFF_BIN:-}" ] || die "CASTOFF_BIN names the castoff to be tried"

WEB=http://127.0.0.1:8081/    # the pod that is there from the start
PULLED=http://127.0.0.1:8083/ # the pod whose image only the mirror has
CRI=unix:///run/containerd/containerd.sock
SECRET='40ss%'
answers() { on "$1" curl -sf -m 10 --noproxy '*' "$2"; }
save_json() { local file=$1 node=$2; shift 2; on "$node" "$@" >"$LAB_RESULTS/$file"; }
exits() { local wanted=$1 code; shift; "$@"; code=$?; [ $code = "$wanted" ] || { echo "exit code $code, expected $wanted"; return 1; }; }
snapshot() { on "$1" 'sh -s' <"$LAB_DIR/scenarios/migrate-bookworm/snapshot.sh" >"$LAB_RESULTS/$2"; }
same_as() { snapshot "$1" "$3" && diff "$LAB_RESULTS/$2" "$LAB_RESULTS/$3"; }
# verdict FILE KEY: what castoff says of a setting of Docker.
verdict() {
    python3 - "$LAB_RESULTS/$1" "$2" <<'PY'
import json, sys
plan = json.load(open(sys.argv[1]))
found = [v for v in plan["verdicts"] if v["setting"] == sys.argv[2]]
print(found[0]["verdict"] if found else "not named; there are " + ", ".join(v["setting"] for v in plan["verdicts"]))
PY
}
# The first process of the pod's container, its soft and hard limit of open files.
nofile() { on "$1" "sed -n 's/^Max open files *\([0-9]*\) *\([0-9]*\).*/\1 \2/p' /proc/\$(pgrep -of 'httpd -f -v -p $2')/limits"; }
proxies() { on "$1" "tr '\0' '\n' </proc/\$(systemctl show -p MainPID --value $2)/environ | grep -i _proxy= | sort"; }
on_docker() {
    answers "$1" $WEB && on "$1" 'test "$(docker ps -q --filter label=io.kubernetes.docker.type=container | wc -l)" = 1'
}
on_containerd() {
    answers "$1" $WEB && [ -n "$(on "$1" 'find /sys/fs/cgroup/kubepods.slice -name "cri-containerd-*.scope"')" ] &&
        ! on "$1" systemctl is-active docker.service docker.socket
}
# What containerd makes of its configuration.
dump() { on "$1" containerd config dump >"$LAB_RESULTS/dump-$1.toml"; }
dump_has() { grep -Eq "$2" "$LAB_RESULTS/dump-$1.toml"; }
asked() { on "$1" "journalctl -o cat -u lab-registry.service | grep -q '$2'"; }

suite() { # suite NAME
    local n=$1
    node_up "$n-settings" "$n"
    note "$n: a unit that keeps kubelet 1.29's contract (flags, configuration, CRI) stands in for kubelet: none of that age can be built here"
    note "$n: a socket stands in for cri-dockerd; the stand-in's pods run on Docker under the labels cri-dockerd gives them"
    check "$n: the pod runs on Docker" on_docker "$n"
    check_out "$n: under Docker's default ulimits" "65536 131072" nofile "$n" 8081
    proxies "$n" docker.service >"$LAB_RESULTS/proxies-$n"
    snapshot "$n" "before-$n"

    check "$n: plan, JSON" save_json "plan-$n.json" "$n" castoff plan -o json
    check "$n: plan, text" save_json "plan-$n.txt" "$n" castoff plan
    for key in registry-mirrors insecure-registries log-opts default-ulimits data-root max-concurrent-downloads; do
        check_out "$n: $key" carried verdict "plan-$n.json" $key
    done
    check "$n: inspect" save_json "facts-$n.json" "$n" castoff inspect -o json
    check_fails "$n: the proxy's password is in no output" grep -F "$SECRET" "$LAB_RESULTS/plan-$n.json" "$LAB_RESULTS/plan-$n.txt" "$LAB_RESULTS/facts-$n.json"

    check "$n: migrate" on "$n" castoff migrate --yes || on "$n" castoff history
    check "$n: the pod runs on containerd, in a scope of systemd" on_containerd "$n"
    check "$n: verify proves it" exits 0 on "$n" castoff verify --detailed-exitcode
    dump "$n"

    note "-- $n: registries"
    check_fails "$n: the node has not the image" on "$n" "ctr -n k8s.io images ls -q | grep mirrored"
    put "$n" "$SCENARIO_DIR/mirrored.yaml" /etc/kubernetes/manifests/mirrored.yaml
    check_eventually 120 "$n: a pod's image of docker.io is pulled through the mirror, over plain HTTP" answers "$n" $PULLED
    check "$n:   the registry was asked as the mirror of docker.io" asked "$n" '^GET 127.0.0.1:5000 /v2/library/mirrored/.* ns=docker.io'
    check "$n: the insecure registry serves a pull" on "$n" lab-cri $CRI pull 10.0.2.15:5001/lab/tool:1
    check "$n:   over plain HTTP" asked "$n" '^GET 10.0.2.15:5001 /v2/lab/tool/'
    on "$n" rm /etc/kubernetes/manifests/mirrored.yaml

    note "-- $n: the rest"
    proxies "$n" containerd.service >"$LAB_RESULTS/proxies-after-$n"
    check "$n: containerd has Docker's proxies" \
        eval "diff <(grep -v ^NO_PROXY $LAB_RESULTS/proxies-$n) <(grep -v ^NO_PROXY $LAB_RESULTS/proxies-after-$n)"
    check "$n:   and its exceptions, with the pods' range added for CNI plugins" \
        grep -Fqx "$(grep ^NO_PROXY "$LAB_RESULTS/proxies-$n"),10.85.0.0/24" "$LAB_RESULTS/proxies-after-$n"
    check_out "$n: containers have Docker's default ulimits" "65536 131072" nofile "$n" 8081
    check_out "$n: logs turn over at the same size" "containerLogMaxSize: 20M" on "$n" 'grep "^containerLogMaxSize" /var/lib/kubelet/config.yaml'
    check_out "$n:   and as many are kept" "containerLogMaxFiles: 4" on "$n" 'grep "^containerLogMaxFiles" /var/lib/kubelet/config.yaml'
    check "$n: downloads are limited alike" dump_has "$n" 'max_concurrent_downloads = 2'
    check_out "$n: containerd's data is on the disk Docker's is on" /dev/vdb \
        on "$n" "findmnt -n -o SOURCE -T \"\$(containerd config dump | sed -n \"s/^root = ['\\\"]\\(.*\\)['\\\"]/\\1/p\")/io.containerd.metadata.v1.bolt\""
    check_out "$n: a second run is one line" "node already is as wanted. No changes." on "$n" castoff migrate --yes

    note "-- $n: back"
    check "$n: rollback" on "$n" castoff rollback
    check "$n: the pod runs on Docker again" on_docker "$n"
    check "$n: every file, mode, owner, link and unit state is as it was" same_as "$n" "before-$n" "after-$n"
    node_down "$n"
}

suite "${SUITE:-trixie}"
