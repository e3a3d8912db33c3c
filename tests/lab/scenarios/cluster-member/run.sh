# A container node with a real kubelet, joined to a real control plane with its own certificate. Pods come and are evicted as
# anywhere; where the host lacks CAP_SYS_RESOURCE none of them gets beyond Pending, which no budget guards. What is shown here is
# the cluster's side: cordon, evictions, Ready with the new runtime by news of the new kubelet, the annotation, uncordon, and an
# API server that is away at the wrong time.
# shellcheck shell=bash
# shellcheck source=../../control-plane.sh
source "$LAB_DIR/control-plane.sh"

[ -x "${CASTOFF_BIN:-}" ] || die "CASTOFF_BIN names the castoff to be tried"

MIGRATE='castoff migrate --yes --no-commit --keep-on-verify-failure --skip-check pod-trial-failed'
# 6: changed and kept, with a proof that failed, for want of that capability.
moves() { on c "$MIGRATE $*; c=\$?; [ \$c = 0 ] || [ \$c = 6 ]" >"$LAB_RESULTS/migrate.log" 2>&1 || { tail -n 30 "$LAB_RESULTS/migrate.log"; return 1; }; }
of_node() { k get node node -o "jsonpath=$1"; }
ready() { [ "$(of_node '{.status.conditions[?(@.type=="Ready")].status}')" = True ]; }
runtime_is() { of_node '{.status.nodeInfo.containerRuntimeVersion}' | grep "^$1"; }
noted() { of_node '{.metadata.annotations.kubeadm\.alpha\.kubernetes\.io/cri-socket}'; }
open_to_pods() { [ -z "$(of_node '{.spec.unschedulable}')" ]; }
on_node() { k get pods -A --field-selector spec.nodeName=node -o 'jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name} {.metadata.uid}{"\n"}{end}' | sort; }
count() { [ "$(k get pods -A -l "$1" --field-selector spec.nodeName=node -o name | wc -l)" = "$2" ]; }
steps() { on c castoff show -o json | python3 -c '
import json, sys
steps = {s["id"]: s for s in json.load(sys.stdin)["steps"]}
for id in sys.argv[1:]:
    print(id, steps[id]["status"], steps[id].get("seconds"), steps[id].get("detail") or "")' "$@"; }

# What was started here besides nodes and control planes ends with the scenario.
relays=()
at_end() { [ ${#relays[@]} = 0 ] || kill "${relays[@]}" 2>/dev/null; }
# The API server's port in the node's own network, so that its kubeconfig is as the control plane made it.
relay() {
    local port=${CP_SERVER##*:} leader socket=$LAB_RESULTS/api.sock
    leader=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["leader"])' "$CASTOFF_LAB_RUN/c/node.json") || return
    "$LAB_DIR/relay" "$socket" "$port" & relays+=($!)
    nsenter -t "$leader" -n "$LAB_DIR/relay" "$port" "$socket" & relays+=($!)
    check_eventually 10 "the node reaches the API server" on c "curl -sk -m 5 $CP_SERVER/version | grep -q v1.20.2"
}

cp_up cluster || die "the control plane comes up"
node_up bookworm-container c
relay
cp_kubelet_config cgroupfs
check "the node joins" cp_join c
check_eventually 120 "the cluster sees it Ready" ready
check "on Docker" runtime_is docker://
check "kubeadm's note" k annotate node node kubeadm.alpha.kubernetes.io/cri-socket=/var/run/dockershim.sock
cp_deployment web 3 && cp_pdb web 2 && cp_daemonset agent || die "pods"
check_eventually 60 "pods of a Deployment come to it" count app=web 3
check_eventually 60 "and one of a DaemonSet" count app=agent 1
on_node >"$LAB_RESULTS/pods.before"

# -- planning --------------------------------------------------------------------------------------------------------

check "the plan has the cluster's steps" on c 'castoff plan --drain --no-diff | tee /root/plan.txt | grep -c -E "^ +[0-9]+ . (cordon|drain|wait|annotate|uncordon) +node" | grep -qx 5'
check "without --drain it does not drain" on c '! castoff plan --no-diff | grep -q -w drain'
check "nothing is asked with --no-cluster" on c '! castoff plan --no-diff --no-cluster | grep -E -q "^ +[0-9]+ . (wait|annotate) +node"'
check "nothing was changed there" open_to_pods
k run lonely --image=castoff.test/web:1 --restart=Never >/dev/null
check_eventually 60 "a pod that nothing makes again comes" count run=lonely 1
check "a drain would end it, and is refused" on c 'castoff plan --drain >/root/blocked.txt; [ $? = 3 ] && grep -q "drain-bare-pods" /root/blocked.txt && grep -q default/lonely /root/blocked.txt'
check "a kubeconfig that may do more is taken" put c "$CP_ADMIN_CONF" /root/admin.conf
check "and used" on c 'castoff plan --drain --drain-force --kubeconfig /root/admin.conf -o json | tr -d " \n" | grep -q "\"kubeconfig\":\"/root/admin.conf\""'

# -- the cluster's workload ------------------------------------------------------------------------------------------

k apply -f - >/dev/null <<'END'
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: shipper, namespace: kube-system}
spec:
  selector: {matchLabels: {app: shipper}}
  template:
    metadata: {labels: {app: shipper}}
    spec:
      containers: [{name: a, image: "castoff.test/web:1", volumeMounts: [{name: logs, mountPath: /logs}]}]
      volumes: [{name: logs, hostPath: {path: /var/lib/docker/containers}}]
END
check_eventually 60 "a log agent comes" count app=shipper 1
check "the cluster's workload is looked through" on c 'castoff check --cluster >/root/workload.txt; [ $? = 0 ] && grep -q log-agents-read-docker /root/workload.txt && grep -q "kube-system/DaemonSet/shipper (1 pod on node)" /root/workload.txt'
k -n kube-system delete daemonset shipper >/dev/null

# -- there and back --------------------------------------------------------------------------------------------------

from=$SECONDS
check "it moves, drained" moves --drain --drain-force
note "a migration with drain took $((SECONDS - from)) s: $(steps cordon drain await-node annotate uncordon | awk '{ printf "%s %s s, ", $1, $3 }')"
check "the cluster sees containerd" runtime_is containerd://
check "and the node Ready" ready
check "it takes pods again" open_to_pods
check_out "kubeadm's note follows" unix:///run/containerd/containerd.sock noted
check "the pods that were evicted are others now" bash -c '! comm -12 <(grep default/web "$1" | cut -d" " -f2 | sort) <(cut -d" " -f2 "$2" | sort) | grep .' - "$LAB_RESULTS/pods.before" <(on_node)
check_fails "the one that nobody makes again is gone" k get pod lonely
check "the DaemonSet's stayed" bash -c 'grep kube-system/agent "$1" | cut -d" " -f2 | grep -qxFf - <(cut -d" " -f2 "$2")' - "$LAB_RESULTS/pods.before" <(on_node)
check_eventually 60 "pods come to it again" count app=web 3
check "rollback" on c castoff rollback --non-interactive
check_eventually 120 "the cluster sees Docker again" runtime_is docker://
check_out "and kubeadm's old note" /var/run/dockershim.sock noted
check "it takes pods" open_to_pods

# -- an API server that goes away ------------------------------------------------------------------------------------

check "a node that is cordoned already" k cordon node
check "moves" moves --drain
check_fails "and is left as it was" open_to_pods
check "rollback" on c castoff rollback --non-interactive
check "uncordoned by whoever cordoned it" k uncordon node
check_eventually 120 "the cluster sees Docker" runtime_is docker://
on c 'mkdir -p /etc/castoff && printf "[timeouts]\nnode = \"30s\"\n" >/etc/castoff/profile.toml'
# From the moment kubelet stops, in a run that is not there yet.
gone_in_the_middle() {
    local last watcher code
    last=$(on c 'ls -d /var/lib/castoff/runs/* | tail -n 1')
    (until on c "now=\$(ls -d /var/lib/castoff/runs/* | tail -n 1); [ \$now != $last ] && grep -qs '\"id\":\"stop-kubelet\"' \$now/journal.jsonl"; do sleep 0.2; done; cp_stop_api) &
    watcher=$!
    moves --drain
    code=$?
    # Nothing to wait for where no run began.
    [ $code = 0 ] || kill $watcher 2>/dev/null
    wait $watcher 2>/dev/null
    return $code
}
check "the API server goes away in the middle, and the node moves" gone_in_the_middle
check "what was put off is said" grep -q 'put off until `castoff resume --cluster`' "$LAB_RESULTS/migrate.log"
check_fails "nothing is made up as long as it is away" on c castoff resume --cluster
check "it comes back" cp_start_api
check_fails "the node is still cordoned" open_to_pods
check "what was put off is done" on c castoff resume --cluster
check "it takes pods" open_to_pods
check_out "kubeadm's note follows" unix:///run/containerd/containerd.sock noted
check "the cluster sees containerd" runtime_is containerd://
check "the API server goes away again" cp_stop_api
check "and the node goes back without it" on c 'castoff rollback --non-interactive >/root/back.txt 2>&1; c=$?; cat /root/back.txt; [ $c = 0 ]'
check "what is left to do is printed" on c 'grep -q "kubectl annotate node node --overwrite kubeadm.alpha.kubernetes.io/cri-socket=/var/run/dockershim.sock" /root/back.txt'
check "it comes back" cp_start_api
check_eventually 180 "the cluster sees Docker" runtime_is docker://
