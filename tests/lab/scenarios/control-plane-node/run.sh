# A node that is a whole control plane, as `kubeadm init` leaves it: etcd, API server, controllers and scheduler are static pods on
# Docker. They move like any other pod, and their API server is away meanwhile: for how long, there, back and by hand after the
# published procedure, is printed. Then the power goes in the middle (CASTOFF_CUTS=N times, 2).
# shellcheck shell=bash
# shellcheck source=../../control-plane.sh
source "$LAB_DIR/control-plane.sh"
# shellcheck source=../../downtime.sh
source "$LAB_DIR/downtime.sh"

[ -x "${CASTOFF_BIN:-}" ] || die "CASTOFF_BIN names the castoff to be tried"

at_end() { downtime_end; }

CUTS=${CASTOFF_CUTS:-2}
CRI=unix:///run/containerd/containerd.sock
PODS="web-host=127.0.0.1:8081 web-cni=10.0.2.15:8082 agent=127.0.0.1:8083"
KEYS=1000

# kubectl runs here: in the node it would take seconds each time.
k() { "$CP_KUBECTL" --kubeconfig "$CP_ADMIN_CONF" --cache-dir "$CP_DIR/kubectl" --request-timeout 30s "$@"; }
of_node() { k get node node -o "jsonpath=$1"; }
ready() { [ "$(of_node '{.status.conditions[?(@.type=="Ready")].status}')" = True ]; }
runtime_is() { of_node '{.status.nodeInfo.containerRuntimeVersion}' | grep "^$1"; }
# The driver in kubeadm's configuration of all kubelets.
driver_of_all() { k -n kube-system get configmap kubelet-config-1.20 -o 'jsonpath={.data.kubelet}' | sed -n 's/^cgroupDriver: //p'; }
noted() { of_node '{.metadata.annotations.kubeadm\.alpha\.kubernetes\.io/cri-socket}'; }
open_to_pods() { [ "$(of_node '{.metadata.name}{.spec.unschedulable}')" = node ]; }
# all_on RUNTIME: all seven pods are Ready there; prints those that are not.
all_on() {
    local all
    all=$(k get pods -A -o 'jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name}|{.metadata.deletionTimestamp}|{.status.conditions[?(@.type=="Ready")].status}|{.status.containerStatuses[*].containerID}{"\n"}{end}') && [ -n "$all" ] || return
    grep -vE "^[^|]+\|\|True\|$1://" <<<"$all" && return 1
    [ "$(wc -l <<<"$all")" = 7 ]
}
scopes() { [ "$(on n 'find /sys/fs/cgroup/kubepods.slice -name "cri-containerd-*.scope" 2>/dev/null | wc -l')" = "$1" ]; }
in_docker() { [ "$(on n 'docker ps -q --filter label=io.kubernetes.docker.type=container | wc -l')" = "$1" ]; }

# -- etcd ------------------------------------------------------------------------------------------------------------

ETCD="ETCDCTL_API=3 etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/kubernetes/pki/etcd/ca.crt --cert=/etc/kubernetes/pki/etcd/healthcheck-client.crt --key=/etc/kubernetes/pki/etcd/healthcheck-client.key --command-timeout=60s"
etcd_healthy() { on n "$ETCD endpoint health 2>&1" | grep "is healthy"; }
# 125 keys in each transaction.
fill_etcd() {
    local from
    for from in $(seq 0 125 $((KEYS - 1))); do
        { echo; seq "$from" $((from + 124)) | awk '{ printf "put /castoff.test/%04d value-%d-%s\n", $1, $1, "abcdefghijklmnopqrstuvwxyz0123456789" }'; echo; echo; } |
            on n "cat >/root/txn; $ETCD txn </root/txn >/dev/null" || return
    done
}
# Each key with its value and its revisions, and nothing that is of the answer.
our_keys() { on n "$ETCD get --prefix /castoff.test/ -w fields" | grep -E '^"(Key|CreateRevision|ModRevision|Version|Value|Lease)"'; }
# Of the cluster's own, those that do not come and go.
their_keys() { on n "$ETCD get --prefix /registry/ --keys-only" | grep -vE '^$|^/registry/(events|leases|masterleases)/' | sort; }
member() { on n "$ETCD member list"; }
etcd_note() { # etcd_note WHAT: what is to be found again
    our_keys >"$LAB_RESULTS/keys.$1" && their_keys >"$LAB_RESULTS/registry.$1" && member >"$LAB_RESULTS/member.$1" && [ "$(grep -c '^"Key"' "$LAB_RESULTS/keys.$1")" = $KEYS ]
}
same_keys() { our_keys >"$LAB_RESULTS/keys.now"; [ -s "$LAB_RESULTS/keys.now" ] && cmp "$LAB_RESULTS/keys.start" "$LAB_RESULTS/keys.now"; }
same_cluster() { their_keys >"$LAB_RESULTS/registry.now"; [ -s "$LAB_RESULTS/registry.now" ] && comm -23 "$LAB_RESULTS/registry.start" "$LAB_RESULTS/registry.now" | tee /dev/stderr | wc -l | grep -qx 0; }
same_member() { member | diff "$LAB_RESULTS/member.start" -; }
etcd_as_it_was() { # etcd_as_it_was WHEN
    check_eventually 120 "$1: etcd is healthy" etcd_healthy
    check "$1: all $KEYS keys are there, with their revisions" same_keys
    check "$1: and all of the cluster's own" same_cluster
    check "$1: it is the same member" same_member
}

# -- moving ----------------------------------------------------------------------------------------------------------

declare -A took
api_answers() { curl -sf -m 5 --cacert "$CP_CA" "$CP_SERVER/readyz"; }
# moves TAG COMMAND...: a command in the node, while the API server and the pods are asked all the time.
moves() {
    local tag=$1 from code; shift
    watch "$tag" api api_answers
    # shellcheck disable=SC2086
    pods_watch n "$tag" $PODS
    from=$(_now)
    on n "$*" >"$LAB_RESULTS/$tag.log" 2>&1; code=$?
    took[$tag]=$(_since "$from")
    [ $code = 0 ] || { tail -n 40 "$LAB_RESULTS/$tag.log"; return 1; }
}
moved() { pods_watched n "$1"; watched "$1"; told "$LAB_RESULTS/$1.log"; }
state() { on n castoff history -o json | python3 -c 'import json,sys; r=json.load(sys.stdin)["runs"]; print(r[0]["state"] if r else "none")'; }
ended() { case $(state) in none | committed | rolled-back) ;; *) state; return 1 ;; esac; }

node_up bookworm-control-plane n
PORT=$("$LAB" reach n 6443) || die "a way to the node's API server"
CP_KUBECTL=$("$LAB" control-plane build)/kubectl
CP_SERVER=https://127.0.0.1:$PORT CP_DIR=$LAB_RESULTS/cluster
mkdir -p "$CP_DIR"
get n /etc/kubernetes/admin.conf "$CP_DIR/admin.conf" && get n /etc/kubernetes/pki/ca.crt "$CP_DIR/ca.crt" || die "the cluster's files"
sed -i "s#server: .*#server: $CP_SERVER#" "$CP_DIR/admin.conf"
CP_ADMIN_CONF=$CP_DIR/admin.conf CP_CA=$CP_DIR/ca.crt

# It wakes up long after it was saved: leases have run out.
check_eventually 900 "the API server is ready" api_answers
check_eventually 300 "all its pods are Ready on Docker" all_on docker
check_eventually 60 "the node is Ready" ready
check "etcd takes $KEYS keys" fill_etcd
check_eventually 60 "etcd is healthy" etcd_healthy
check "they are noted, with their revisions" etcd_note start
note "etcd: $(on n "$ETCD endpoint status" | cut -d, -f3-5); $(wc -l <"$LAB_RESULTS/registry.start") keys of the cluster's own"

note "-- castoff"
check "plan says what this node is" on n 'castoff plan --no-diff >/root/plan.txt; c=$?; cat /root/plan.txt; [ $c = 0 ] && grep -q control-plane-node /root/plan.txt'
check "  and asks its API server" on n 'grep -q "annotate" /root/plan.txt'
save n start
check "it moves" moves there castoff migrate --yes --cluster-config apply --kubeconfig /etc/kubernetes/admin.conf
check_eventually 600 "the API server is ready" api_answers
check_eventually 600 "all pods are Ready on containerd" all_on containerd
check_eventually 120 "all pods answer" on n 'for port in 8081 8082 8083; do curl -sf -m 5 http://10.0.2.15:$port/ || exit 1; done'
moved there
note "took ${took[there]} s: $(steps n stop-kubelet stop-docker-pods await-cri start-kubelet await-pods await-etcd await-node annotate kubelet-config-map | awk '{ printf "%s %s %s s, ", $1, $2, $3 }')"
if grep -q 'castoff resume --cluster' "$LAB_RESULTS/there.log"; then
    note "steps of the cluster's were put off"
    check "they are made up for" on n castoff resume --cluster
fi
check "the cluster sees containerd" runtime_is containerd://
check_eventually 120 "the node is Ready" ready
check_out "kubeadm's note follows" $CRI noted
check "it takes pods" open_to_pods
check_out "and kubeadm's configuration of all kubelets" systemd driver_of_all
check "all are in scopes of containerd's" scopes 14
check "Docker is off" on n '! systemctl is-active docker.service && ! systemctl is-active docker.socket'
etcd_as_it_was there

note "-- and back"
check "rollback" moves back castoff rollback --non-interactive
check_eventually 600 "the API server is ready" api_answers
check_eventually 600 "all pods are Ready on Docker" all_on docker
check_eventually 120 "all pods answer" on n 'for port in 8081 8082 8083; do curl -sf -m 5 http://10.0.2.15:$port/ || exit 1; done'
moved back
check_eventually 120 "the cluster sees Docker" runtime_is docker://
check_eventually 120 "the node is Ready" ready
# A rollback does not wait for the API server for ever: what it could not do there, it says.
if grep -q 'kubectl annotate' "$LAB_RESULTS/back.log"; then
    note "the annotation was left to me: $(grep -o 'kubectl annotate.*' "$LAB_RESULTS/back.log" | head -n 1)"
else
    check_out "kubeadm's old note" /var/run/dockershim.sock noted
    check_out "and its old configuration of all kubelets" cgroupfs driver_of_all
fi
check "nothing is left in scopes of containerd's" scopes 0
etcd_as_it_was back

note "-- by hand, after the published procedure"
put n "$LAB_DIR/scenarios/by-hand/to-containerd.sh" /root/by-hand/to-containerd.sh
check "drain" k drain node --ignore-daemonsets --timeout=300s
images="castoff.test/pause:1 castoff.test/web:1 $(on n 'cut -d" " -f2 /var/lib/lab/control-plane/images | tr "\n" " "')"
check "the procedure runs through" moves hand "IMAGES='$images' sh /root/by-hand/to-containerd.sh"
check_eventually 900 "the API server is ready" api_answers
check_eventually 600 "all pods are Ready on containerd" all_on containerd
check "annotate" k annotate node node --overwrite kubeadm.alpha.kubernetes.io/cri-socket=$CRI
check "uncordon" k uncordon node
moved hand
grep "^\[" "$LAB_RESULTS/hand.log" | sed 's/^/     /'
etcd_as_it_was "by hand"

# -- power cuts ------------------------------------------------------------------------------------------------------

# The last record that the journal had, and a while after it: etcd has just stopped; etcd starts on containerd.
for cut in $(seq "$CUTS"); do
    load n start
    if [ $((cut % 2)) = 1 ]; then at=stop-docker-pods after=2; else at=start-kubelet after=8; fi
    note "-- the power goes $after s after $at began"
    check_eventually 120 "cut $cut: it is on Docker" all_on docker
    on n "setsid castoff migrate --yes >/root/cut.log 2>&1 </dev/null &
        n=0; until grep -qs '\"id\":\"$at\"' /var/lib/castoff/runs/*/journal.jsonl; do n=\$((n + 1)); [ \$n -lt 6000 ] || exit 1; sleep 0.05; done" ||
        { on n 'cat /root/cut.log' | tail -n 20; die "cut $cut: the migration comes to $at"; }
    sleep $after
    cut_power n
    boot n
    booted=$SECONDS
    check_eventually 1200 "cut $cut: the run comes to its end without anybody" ended
    end=$(state)
    check_eventually 900 "cut $cut: the API server is ready" api_answers
    note "cut $cut: $end; API server ready $((SECONDS - booted)) s after the boot"
    case $end in
    committed) check_eventually 600 "cut $cut: on, all pods are Ready on containerd" all_on containerd && check "cut $cut: and there only" scopes 14 ;;
    *) check_eventually 600 "cut $cut: back, all pods are Ready on Docker" all_on docker && check "cut $cut: and there only" scopes 0 ;;
    esac
    check_eventually 120 "cut $cut: the node is Ready" ready
    etcd_as_it_was "cut $cut"
    check_fails "cut $cut: no unit of castoff is left" on n 'ls /etc/systemd/system /etc/systemd/system/multi-user.target.wants | grep castoff'
done

# -- side by side ----------------------------------------------------------------------------------------------------

row() { note "$(printf '%-34s %12s %12s %12s' "$1" "$(away there "$2")" "$(away back "$2")" "$(away hand "$2")")"; }
note "$(printf '%-34s %12s %12s %12s' 'away for (s)' castoff 'its back' 'by hand')"
row "API server (/readyz)" api
row "static, host network (web-host)" web-host
row "static, host port (web-cni)" web-cni
row "DaemonSet, host network (agent)" agent
note "all in all (s): castoff ${took[there]}, back ${took[back]}, by hand ${took[hand]} until its last command, and the drain before"
