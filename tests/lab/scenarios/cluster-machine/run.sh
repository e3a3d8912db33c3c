# A worker node as an administrator has it: an emulated machine whose pods run, joined to a control plane on this machine with its
# own certificate. It moves with a drain, in place, while its API server goes away, and by hand after the published procedure;
# how long each pod was away in each of these ways is printed. Pods that leave go to the node n2, which is an object with a
# stand-in for its kubelet.
# CASTOFF_PARTS="drained place away hand" chooses some of its parts.
# shellcheck shell=bash
# shellcheck source=../../control-plane.sh
source "$LAB_DIR/control-plane.sh"
# shellcheck source=../../downtime.sh
source "$LAB_DIR/downtime.sh"

[ -x "${CASTOFF_BIN:-}" ] || die "CASTOFF_BIN names the castoff to be tried"

at_end() { downtime_end; }

MINIMUM=2   # of the three pods of web, by their budget
CRI=unix:///run/containerd/containerd.sock
# Answer in whatever way the node goes.
FIXED="web-host=127.0.0.1:8081 web-cni=10.0.2.15:8082 agent=127.0.0.1:8083"
ALONE=alone=10.0.2.15:8084

PARTS=${CASTOFF_PARTS:-drained place away hand}
part() { [[ " $PARTS " = *" $1 "* ]]; }
exits() { local wanted=$1 code; shift; "$@"; code=$?; [ $code = "$wanted" ] || { echo "exit code $code, expected $wanted"; return 1; }; }
of_node() { k get node node -o "jsonpath=$1"; }
ready() { [ "$(of_node '{.status.conditions[?(@.type=="Ready")].status}')" = True ]; }
runtime_is() { of_node '{.status.nodeInfo.containerRuntimeVersion}' | grep "^$1"; }
noted() { of_node '{.metadata.annotations.kubeadm\.alpha\.kubernetes\.io/cri-socket}'; }
open_to_pods() { [ "$(of_node '{.metadata.name}{.spec.unschedulable}')" = node ]; }
# The node's pods, one a line: namespace/name, uid, when it was told to go, Ready, id of its container.
on_node() {
    k get pods -A --field-selector spec.nodeName=node -o 'jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name}|{.metadata.uid}|{.metadata.deletionTimestamp}|{.status.conditions[?(@.type=="Ready")].status}|{.status.containerStatuses[*].containerID}{"\n"}{end}' | sort
}
# all_on RUNTIME COUNT: so many pods, each Ready there; prints those that are not.
all_on() {
    local all
    all=$(on_node) && [ -n "$all" ] || return
    grep -vE "^[^|]+\|[^|]+\|\|True\|$1://" <<<"$all" && return 1
    echo "$(wc -l <<<"$all") pods, not $2"
    [ "$(wc -l <<<"$all")" = "$2" ]
}
# A pause and a container for each, as scopes below kubepods.slice.
scopes() { [ "$(on n 'find /sys/fs/cgroup/kubepods.slice -name "cri-containerd-*.scope" | wc -l')" = $(($1 * 2)) ]; }
in_scopes() { # in_scopes POD: that very pod
    local uid
    uid=$(on_node | grep "/$1" | head -n 1 | cut -d'|' -f2)
    [ "$(on n "find /sys/fs/cgroup/kubepods.slice -path '*pod${uid//-/_}.slice/cri-containerd-*.scope' | wc -l")" = 2 ]
}
uids() { on_node | cut -d'|' -f1,2; }
webs() { k get pods -l app=web --field-selector spec.nodeName=node -o 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}'; }
web_targets() { webs | sed 's#\(.*\)#\1=@/var/lib/lab/where/\1:8080#'; }
alone_runs() { k apply -f "$SCENARIO_DIR/alone.yaml" >/dev/null && cp_wait_pods app=alone 1 node; }
# The pods of web come to the node, the budget kept. A scheduler whose API server was away hears of a cordon late.
gather() {
    local _
    k cordon n2 || return
    for _ in 1 2 3; do
        k rollout restart deployment web && k rollout status deployment web --timeout=400s || return
        _cp_until 30 _cp_pods_are app=web 3 && _cp_until 5 _cp_pods_are app=web 3 node && { k uncordon n2; return; }
        sleep 20
    done
    return 1
}
# Every change that the API server tells of, between these two.
budget_watch() {
    mkdir -p "$DOWNTIME/$1"
    "$CP_KUBECTL" --kubeconfig "$CP_ADMIN_CONF" get pdb web --watch -o 'jsonpath=- ok {.status.currentHealthy}{"\n"}' >"$DOWNTIME/$1/healthy" 2>/dev/null & _watchers+=($!)
    "$CP_KUBECTL" --kubeconfig "$CP_ADMIN_CONF" get deployment web --watch -o 'jsonpath=- ok {.status.availableReplicas}{"\n"}' >"$DOWNTIME/$1/available" 2>/dev/null & _watchers+=($!)
}
budget_kept() { never_below "$1" healthy $MINIMUM 5 && never_below "$1" available $MINIMUM 5; }

# moves TAG OPTION...: a migration, and how long it took in took[TAG].
declare -A took
moves() {
    local tag=$1 from code; shift
    from=$(_now)
    on n "castoff migrate --yes $*" >"$LAB_RESULTS/$tag.log" 2>&1; code=$?
    took[$tag]=$(_since "$from")
    [ $code = 0 ] || { tail -n 30 "$LAB_RESULTS/$tag.log"; return 1; }
}
goes_back() {
    local tag=$1 from code; shift
    from=$(_now)
    on n "castoff rollback --non-interactive $*" >"$LAB_RESULTS/$tag.log" 2>&1; code=$?
    took[$tag]=$(_since "$from")
    [ $code = 0 ] || { tail -n 30 "$LAB_RESULTS/$tag.log"; return 1; }
}
# asks TAG OPTION...: the same by the wizard, with somebody at a terminal who reads the plan and says yes.
asks() {
    local tag=$1 from code; shift
    from=$(_now)
    on n "asked() { for i in \$(seq 1500); do grep -q -e \"\$1\" /root/wizard.log && return; sleep 0.2; done; }
        rm -f /root/wizard.log; touch /root/wizard.log
        ( asked 'What now'; sleep 1; printf '\\r'; asked 'more:'; sleep 1; printf 'G'; asked 'Apply '; sleep 1; printf 'y'
          for i in \$(seq 900); do grep -Eq 'unless you keep it|^error|Cancelled' /root/wizard.log && break; sleep 1; done; sleep 5 ) |
        script -qefc 'castoff migrate $*' /dev/null >/root/wizard.log 2>&1"; code=$?
    took[$tag]=$(_since "$from")
    on n "tr -d '\r' </root/wizard.log | sed 's/\x1b\[[0-9;?]*[A-Za-z]//g'" >"$LAB_RESULTS/$tag.log"
    [ $code = 0 ] || { tail -n 30 "$LAB_RESULTS/$tag.log"; return 1; }
}
# The driver in kubeadm's configuration of all kubelets.
driver_of_all() { k -n kube-system get configmap kubelet-config-1.20 -o 'jsonpath={.data.kubelet}' | sed -n 's/^cgroupDriver: //p'; }

# -- a cluster -------------------------------------------------------------------------------------------------------

cp_up cluster || die "the control plane comes up"
node_up bookworm-dockershim n
check "a port of this machine leads into the node" "$LAB" forward n "${CP_SERVER##*:}"
check "the node reaches the API server" on n "curl -sk -m 10 $CP_SERVER/version | grep -q v1.20.2"
cp_kubelet_config cgroupfs
check "the node joins" cp_join n
check_eventually 180 "the cluster sees it Ready" ready
check "on Docker" runtime_is docker://
check "kubeadm's note" k annotate node node kubeadm.alpha.kubernetes.io/cri-socket=/var/run/dockershim.sock
check "a Deployment and a DaemonSet" k apply -f "$SCENARIO_DIR/workload.yaml"
check "a budget for the Deployment" cp_pdb web $MINIMUM
check_eventually 180 "the Deployment's pods are Ready on the node" cp_wait_pods app=web 3 node
check_eventually 60 "and the DaemonSet's" cp_wait_pods app=agent 1 node
check "and one that nothing makes again" alone_runs
check_eventually 180 "all seven are Ready on Docker" all_on docker 7
cp_node n2 && cp_standin n2 || die "a second node"
check_eventually 60 "a second node is there for pods that leave" cp_wait_pods app=agent 2
uids >"$LAB_RESULTS/uids.start"

# -- drained ---------------------------------------------------------------------------------------------------------

if part drained; then
note "-- drained, by the node's own credentials"
check "the pod that nothing makes again keeps it from being drained" exits 3 on n 'castoff migrate --yes --drain >/root/refused.txt 2>&1'
check "  and is named" on n 'grep -q drain-bare-pods /root/refused.txt && grep -q default/alone /root/refused.txt'
check "nothing was changed" open_to_pods
check "  nor any pod" diff "$LAB_RESULTS/uids.start" <(uids)
budget_watch drained
# shellcheck disable=SC2086
pods_watch n drained $FIXED $ALONE
check "the wizard drains it, unasked" asks drained --drain-force
check_eventually 120 "every pod that stayed is Ready on containerd" all_on containerd 3
pods_watched n drained
downtime_end
check "the budget was kept all the time" budget_kept drained
note "drained: took ${took[drained]} s: $(steps n cordon drain stop-kubelet stop-docker-pods await-cri await-pods await-node annotate uncordon | awk '{ printf "%s %s s, ", $1, $3 }')"
told "$LAB_RESULTS/drained.log"
check "  said so before" grep -q "pods *drained first, and welcome again at the end" "$LAB_RESULTS/drained.log"
check_fails "  and asked for no name, since no work was left on the node" grep -q "Type the node" "$LAB_RESULTS/drained.log"
check "  and says how to do the same unasked" grep -q "castoff migrate --yes --try 10m --drain --drain-force" "$LAB_RESULTS/drained.log"
check "it is kept" on n castoff commit
check "kubectl get node -o wide shows containerd" bash -c '"$0" --kubeconfig "$1" get node node -o wide | grep -w Ready | grep containerd://1.6' "$CP_KUBECTL" "$CP_ADMIN_CONF"
k get node -o wide | cut -c1-200 | sed 's/^/     /'
check "the node is Ready" ready
check "it takes pods again" open_to_pods
check_out "kubeadm's note follows" $CRI noted
check_fails "the one that nobody makes again is gone" k get pod alone
check "the Deployment's pods went to the other node" cp_wait_pods app=web 3 n2
check "the DaemonSet's pod is the same one" grep -qxFf <(grep kube-system/agent- "$LAB_RESULTS/uids.start") <(uids)
check "  and in a scope of containerd's" in_scopes agent-
check "pods come to the node again" gather
check_eventually 180 "all are Ready on containerd" all_on containerd 6
check "  and in scopes of containerd's" scopes 6
check "no pod is on Docker" on n '! systemctl is-active docker.service && ! systemctl is-active docker.socket'

note "-- and back, drained"
budget_watch drained-back
# shellcheck disable=SC2086
pods_watch n drained-back $FIXED
check "rollback, drained" goes_back drained-back --drain
check_eventually 180 "the cluster sees Docker" runtime_is docker://
check_eventually 180 "every pod that stayed is Ready on Docker" all_on docker 3
pods_watched n drained-back
downtime_end
check "the budget was kept all the time" budget_kept drained-back
told "$LAB_RESULTS/drained-back.log"
check_eventually 60 "the node is Ready" ready
check_out "kubeadm's old note" /var/run/dockershim.sock noted
check "it takes pods" open_to_pods
check "the Deployment's pods went to the other node" cp_wait_pods app=web 3 n2
check "nothing is left in scopes of containerd's" scopes 0
check "pods come to the node again" gather
fi

# -- in place --------------------------------------------------------------------------------------------------------

if part place; then
note "-- in place: pods stop here and start here; with the cluster's configuration of kubelets"
put n "$CP_ADMIN_CONF" /root/admin.conf
APPLY="--cluster-config apply --kubeconfig /root/admin.conf"
check "the node's own credentials may not change that" exits 3 on n 'castoff plan --cluster-config apply --no-diff >/root/denied.txt'
check "it waits for the other node" on n "castoff plan $APPLY --no-diff >/root/waits.txt && grep -q cluster-config-waits /root/waits.txt && ! grep -q kubelet-config-map /root/waits.txt"
check "the other node is moved" cp_node_runtime n2 containerd://1.6.20
check "the one that nothing makes again, again" alone_runs
check_eventually 120 "all seven are Ready on Docker" all_on docker 7
uids >"$LAB_RESULTS/uids.place"
WEBS=$(webs)
# shellcheck disable=SC2046,SC2086
pods_watch n place $FIXED $ALONE $(web_targets)
check "it moves, with its pods" moves place --no-drain $APPLY
check_eventually 180 "every pod is Ready on containerd" all_on containerd 7
check_eventually 120 "all pods answer" on n "for i in /var/tmp/poll-place/*; do case \$i in *stop) ;; *) tail -n 1 \$i | grep -q ok || exit 1 ;; esac; done"
pods_watched n place
told "$LAB_RESULTS/place.log"
note "in place: took ${took[place]} s: $(steps n stop-kubelet stop-docker-pods await-cri start-kubelet await-pods await-node kubelet-config-map | awk '{ printf "%s %s s, ", $1, $3 }')"
check "they are the same pods" diff "$LAB_RESULTS/uids.place" <(uids)
check "  in scopes of containerd's" scopes 7
check "the node took pods all the time" open_to_pods
check_out "kubeadm's note follows" $CRI noted
check_out "and kubeadm's configuration of all kubelets" systemd driver_of_all
# shellcheck disable=SC2046,SC2086
pods_watch n place-back $FIXED $ALONE $(web_targets)
check "rollback" goes_back place-back
check_eventually 180 "the cluster sees Docker" runtime_is docker://
check_eventually 180 "every pod is Ready on Docker" all_on docker 7
pods_watched n place-back
told "$LAB_RESULTS/place-back.log"
check_out "kubeadm's configuration of all kubelets is the old one" cgroupfs driver_of_all
check "they are the same pods still" diff "$LAB_RESULTS/uids.place" <(uids)
fi

# -- an API server that goes away ------------------------------------------------------------------------------------

if part away; then
note "-- an API server that goes away in the middle"
on n 'mkdir -p /etc/castoff && printf "[timeouts]\npods = \"2m\"\nnode = \"30s\"\n" >/etc/castoff/profile.toml'
# From the moment kubelet stops, in a run that is not there yet.
gone_in_the_middle() {
    local last watcher code
    last=$(on n 'ls -d /var/lib/castoff/runs/* 2>/dev/null | tail -n 1')
    (trap - EXIT; until on n "now=\$(ls -d /var/lib/castoff/runs/* | tail -n 1); [ \"\$now\" != '$last' ] && grep -qs '\"id\":\"stop-kubelet\"' \$now/journal.jsonl"; do sleep 0.2; done; cp_stop_api) &
    watcher=$!
    moves "$@"
    code=$?
    # Nothing to wait for where no run began.
    [ $code = 0 ] || kill $watcher 2>/dev/null
    wait $watcher 2>/dev/null
    return $code
}
if check "it goes away, and the node moves" gone_in_the_middle away --drain --drain-force; then
    check "what was put off is said" grep -q 'put off until `castoff resume --cluster`' "$LAB_RESULTS/away.log"
    check "and which pods a kubelet cannot start without it" grep -q kube-system/agent- "$LAB_RESULTS/away.log"
    check "the static pods run on containerd" on n 'curl -sf -m 10 http://127.0.0.1:8081/ && curl -sf -m 10 http://10.0.2.15:8082/ && ! systemctl is-active docker.service'
    check_fails "nothing is made up as long as it is away" on n castoff resume --cluster
    check "it comes back" cp_start_api
    check_fails "the node is still cordoned" open_to_pods
    check "what was put off is done" on n castoff resume --cluster
    check "it takes pods" open_to_pods
    check_out "kubeadm's note follows" $CRI noted
    check "the cluster sees containerd" runtime_is containerd://
    check_eventually 180 "every pod that stayed is Ready on containerd" all_on containerd 3
    check "it goes away again" cp_stop_api
    check "and the node goes back without it" goes_back away-back
    check "what is left to do is printed" grep -q "kubectl annotate node node --overwrite kubeadm.alpha.kubernetes.io/cri-socket=/var/run/dockershim.sock" "$LAB_RESULTS/away-back.log"
    check "the static pods run on Docker" on n 'curl -sf -m 10 http://127.0.0.1:8081/ && curl -sf -m 10 http://10.0.2.15:8082/ && systemctl is-active docker.service kubelet.service'
    check "it comes back" cp_start_api
    check "by hand, as it says" k annotate node node --overwrite kubeadm.alpha.kubernetes.io/cri-socket=/var/run/dockershim.sock
else
    tail -n 40 "$LAB_RESULTS/away.log" | sed 's/^/     | /'
    check "it comes back" cp_start_api
    check "the node is as it was" on n 'systemctl is-active docker.service kubelet.service'
    open_to_pods || check "uncordoned by hand, as it says" k uncordon node
fi
check_eventually 180 "the cluster sees Docker" runtime_is docker://
check_eventually 180 "every pod is Ready on Docker" all_on docker 3
on n 'rm -f /etc/castoff/profile.toml'
check "pods come to the node again" gather
fi

# -- by hand ---------------------------------------------------------------------------------------------------------

if part hand; then
note "-- by hand, after the published procedure"
check "the one that nothing makes again, again" alone_runs
check_eventually 120 "all seven are Ready on Docker" all_on docker 7
for f in to-containerd cni-del; do put n "$LAB_DIR/scenarios/by-hand/$f.sh" /root/by-hand/; done
by_hand() {
    k drain node --ignore-daemonsets --force --timeout=600s &&
        on n 'sh /root/by-hand/to-containerd.sh >/root/by-hand/there.log 2>&1; c=$?; cat /root/by-hand/there.log; exit $c' &&
        k annotate node node --overwrite kubeadm.alpha.kubernetes.io/cri-socket=$CRI &&
        _cp_until 300 runtime_is containerd:// && _cp_until 300 ready && k uncordon node
}
budget_watch hand
# shellcheck disable=SC2086
pods_watch n hand $FIXED $ALONE
from=$(_now)
check "the procedure runs through" by_hand
took[hand]=$(_since "$from")
check_eventually 180 "every pod that stayed is Ready on containerd" all_on containerd 3
sleep 10
downtime_end
on n 'grep "^\[" /root/by-hand/there.log' | sed 's/^/     /'
check "the host's ports get rid of dead pods" on n sh /root/by-hand/cni-del.sh
check_eventually 120 "all that stayed answer" on n 'curl -sf -m 5 http://127.0.0.1:8081/ && curl -sf -m 5 http://10.0.2.15:8082/ && curl -sf -m 5 http://127.0.0.1:8083/'
pods_watched n hand
fi

# -- side by side ----------------------------------------------------------------------------------------------------

[ "$PARTS" = "drained place away hand" ] || { note "only these parts: $PARTS"; exit; }
row() { # row WHAT NAME
    local tag cells=()
    for tag in drained drained-back place place-back hand; do cells+=("$(away $tag "$2")"); done
    note "$(printf '%-34s %12s %12s %12s %12s %12s' "$1" "${cells[@]}")"
}
all_webs() { for p in $WEBS; do printf '%s ' "$(away "$1" "$p")"; done; }
note "$(printf '%-34s %12s %12s %12s %12s %12s' 'away for (s)' drained 'its back' 'in place' 'its back' 'by hand')"
row "static, host network (web-host)" web-host
row "static, host port (web-cni)" web-cni
row "DaemonSet, host network (agent)" agent
row "bare, host port (alone)" alone
note "each of the Deployment's three: in place $(all_webs place), back $(all_webs place-back)"
note "fewest of the Deployment's pods healthy: drained $(least drained healthy | cut -d' ' -f1) of 3, by hand $(least hand healthy | cut -d' ' -f1) of 3; its budget asks for $MINIMUM"
note "all in all (s): drained ${took[drained]}, back ${took[drained-back]}, in place ${took[place]}, back ${took[place-back]}, by hand ${took[hand]}"
