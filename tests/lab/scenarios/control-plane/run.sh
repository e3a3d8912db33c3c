# The test bed for castoff's API client, tested by itself, and the facts the client is built on: each of them
# was measured once and is pinned here.
# shellcheck shell=bash
# shellcheck source=tests/lab/control-plane.sh
source "$LAB_DIR/control-plane.sh"

# answer CODE TEXT USER METHOD PATH [BODY]: the code is CODE and the answer holds TEXT.
answer() {
    local code=$1 text=$2 got; shift 2
    got=$(cp_request "$@") || return
    printf '%s\n' "$got"
    [ "$(sed -n 1p <<<"$got")" = "$code" ] && grep -qF -- "$text" <<<"$got"
}
# may "what" CODE METHOD PATH [BODY], may_not "what" TEXT METHOD PATH [BODY]: as the node n1.
may() { local what=$1 code=$2; shift 2; check "n1 may $what" answer "$code" '' n1 "$@"; }
may_not() { local what=$1 text=$2; shift 2; check "n1 may not $what" answer 403 "$text" n1 "$@"; }
evict() {
    echo POST "/api/v1/namespaces/$1/pods/$2/eviction${3:-}" \
        "{\"apiVersion\":\"policy/v1beta1\",\"kind\":\"Eviction\",\"metadata\":{\"name\":\"$2\",\"namespace\":\"$1\"}${4:-}}"
}
web_pods() { k get pods -l app=web --field-selector spec.nodeName=n1 -o 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}'; }
budget() { [ "$(k get pdb web -o 'jsonpath={.status.disruptionsAllowed}')" = "$1" ]; }
gone() { [ "$(cp_code n1 GET "/api/v1/namespaces/$1/pods/$2")" = 404 ]; }
processes_of() { "$LAB" control-plane list | sed -n "s/^$1 *https[^ ]* //p"; }
tainted() { k get node n1 -o 'jsonpath={.spec.taints[*].key}' | grep -q node.kubernetes.io/unschedulable; }

cp_up cluster || die "the control plane comes up"
note "platform cluster: $("$CP_KUBECTL" version --client --short 2>/dev/null), $(cat "$(dirname "$CP_KUBECTL")/etcd-version")"
check "the API server is ready" answer 200 ok admin GET /readyz
check "it is the release it should be" answer 200 '"gitVersion": "v1.20.2"' anonymous GET /version
check_fails "a second one of that name is refused" "$LAB" control-plane up cluster

# -- credentials ------------------------------------------------------------------------------------

check "the administrator's kubeconfig works" k get namespaces
check "certificate and key of a joined node are in one file" \
    test "$(grep -c BEGIN "$CP_KUBELET_PEM")" = 2
check "its key is kubelet's kind" grep -q 'BEGIN EC PRIVATE KEY' "$CP_KUBELET_PEM"
check "kubelet.conf names that file twice" test "$(grep -c "$CP_KUBELET_PEM" "$CP_KUBELET_CONF")" = 2

from=$(_now)
cp_cluster n1 || die "a cluster with a node and pods comes up"
note "cluster made in $(_since "$from") s"
second_node() { cp_node n2 && cp_bare_pod other n2 && cp_pods_run n2; }
second_node || die "a second node comes up"
check "n1 is known with its kubelet.conf" k_node n1 get node n1
check "and with everything inside one kubeconfig" "$CP_KUBECTL" --kubeconfig "$CP_KUBELET_INLINE_CONF" get node n1
check_out "the node is on Docker, by kubeadm's annotation too" "docker://20.10.24 /var/run/dockershim.sock" \
    k get node n1 -o 'jsonpath={.status.nodeInfo.containerRuntimeVersion} {.metadata.annotations.kubeadm\.alpha\.kubernetes\.io/cri-socket}'
check "the Deployment's pods belong to a ReplicaSet of a real controller" \
    grep -q ReplicaSet <<<"$(k get pods -l app=web -o 'jsonpath={.items[*].metadata.ownerReferences[0].kind}')"
check "one pod may be disrupted" budget 1

# -- what a node may do -----------------------------------------------------------------------------

node=/api/v1/nodes/n1
may "read its Node" 200 GET $node
may "cordon itself" 200 PATCH $node '{"spec":{"unschedulable":true}}'
check_eventually 60 "the controllers add the taint" tainted
may "uncordon itself" 200 PATCH $node '{"spec":{"unschedulable":null}}'
may "annotate itself" 200 PATCH $node '{"metadata":{"annotations":{"castoff.test/x":"1"}}}'
check "an old resourceVersion is a conflict" answer 409 'the object has been modified' \
    n1 PATCH $node '{"metadata":{"resourceVersion":"1","annotations":{"castoff.test/x":"2"}}}'
may_not "cordon another node" 'node \"n1\" is not allowed to modify node \"n2\"' \
    PATCH /api/v1/nodes/n2 '{"spec":{"unschedulable":true}}'
may_not "taint itself" 'is not allowed to modify taints' \
    PATCH $node '{"spec":{"taints":[{"key":"castoff.test/t","effect":"NoSchedule"}]}}'
may "list its pods" 200 GET '/api/v1/pods?fieldSelector=spec.nodeName%3Dn1'
may "list all pods (this release)" 200 GET /api/v1/pods
may "read kubelet's ConfigMap" 200 GET /api/v1/namespaces/kube-system/configmaps/kubelet-config-1.20
may_not "write it" 'can only read resources of this type' \
    PATCH /api/v1/namespaces/kube-system/configmaps/kubelet-config-1.20 '{"data":{"kubelet":""}}'
may_not "read a ConfigMap that is not there" 'no relationship found between node' \
    GET /api/v1/namespaces/kube-system/configmaps/kubelet-config
may_not "list budgets" 'cannot list resource \"poddisruptionbudgets\"' GET /apis/policy/v1beta1/poddisruptionbudgets
may_not "read DaemonSets" 'cannot get resource \"daemonsets\"' GET /apis/apps/v1/namespaces/kube-system/daemonsets/agent
may_not "list ReplicaSets" 'cannot list resource \"replicasets\"' GET /apis/apps/v1/replicasets
may "ask what it may do" 201 POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews \
    '{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{"resourceAttributes":{"verb":"patch","resource":"nodes","name":"n1"}}}'
check "and gets a yes for what admission then refuses" answer 201 '"allowed":true' \
    n1 POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews \
    '{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{"resourceAttributes":{"verb":"patch","resource":"nodes","name":"n2"}}}'
check "the server says which Eviction it takes" answer 200 \
    '"name":"pods/eviction","singularName":"","namespaced":true,"group":"policy","version":"v1beta1"' n1 GET /api/v1

# -- evictions --------------------------------------------------------------------------------------

cp_do n1 PATCH $node '{"spec":{"unschedulable":true}}'
cp_do admin PATCH /api/v1/nodes/n2 '{"spec":{"unschedulable":true}}'
mapfile -t web < <(web_pods)
check "three pods are on n1" test ${#web[@]} = 3
# shellcheck disable=SC2046  # evict prints an argument list without blanks in its words
{
    may "evict as a dry run" 201 $(evict default "${web[0]}" '?dryRun=All')
    check "which uses nothing of the budget" budget 1
    may_not "evict a pod of another node" 'can only evict pods with spec.nodeName set to itself' $(evict default other)
    cp_hold n1
    may "evict a pod whose budget allows it" 201 $(evict default "${web[0]}")
    check "the next one has to wait" answer 429 '"reason":"DisruptionBudget"' n1 $(evict default "${web[1]}")
    may "evict again what is going already" 201 $(evict default "${web[0]}")
    check_fails "the pod is still there while kubelet has not finished" gone default "${web[0]}"
    cp_let_go n1
    check_eventually 60 "and gone when it has" gone default "${web[0]}"
    check "then it is not found" answer 404 'not found' n1 $(evict default "${web[0]}")
    check_out "the Deployment's new pod waits for a node that takes it" "Pending " \
        k get pods -l app=web --field-selector spec.nodeName= -o 'jsonpath={.items[0].status.phase} {.items[0].spec.nodeName}'
    cp_standin n2
    cp_do admin PATCH /api/v1/nodes/n2 '{"spec":{"unschedulable":null}}'
    check "it runs on the other node" cp_wait_pods app=web 1 n2
    check_eventually 60 "the budget allows one again" budget 1
    # Read the pod again before you evict it: a uid that does not hold costs the budget for two minutes.
    check "a wrong uid is a conflict" answer 409 'does not match the UID in record' \
        n1 $(evict default "${web[1]}" '' ',"deleteOptions":{"preconditions":{"uid":"00000000-0000-0000-0000-000000000000"}}')
    check_eventually 60 "and uses the budget up" budget 0
    cp_pdb second 1 web
    check "two budgets over one pod are the server's fault" answer 500 'more than one PodDisruptionBudget' \
        n1 $(evict default "${web[1]}")
    k delete pdb second >/dev/null
    may "delete its own pod, whatever the budget" 200 DELETE "/api/v1/namespaces/default/pods/${web[1]}?dryRun=All"
    may_not "delete a pod of another node" 'can only delete pods with spec.nodeName set to itself' \
        DELETE /api/v1/namespaces/default/pods/other
    may "evict its static pod's image, as far as the server is concerned" 201 $(evict kube-system static-n1 '?dryRun=All')
}

# -- a node that is not well ------------------------------------------------------------------------

heartbeat() { k get node n1 -o 'jsonpath={.status.conditions[?(@.type=="Ready")].lastHeartbeatTime}'; }
first=$(heartbeat)
newer() { [ "$(heartbeat)" \> "$first" ]; }
check_eventually 60 "the heartbeat goes on" newer
check "its lease is renewed" grep -q . <<<"$(k get lease -n kube-node-lease n1 -o 'jsonpath={.spec.renewTime}')"
node_is() { [ "$(k get node n1 -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = "$1" ]; }
cp_not_ready n1
check_eventually 60 "the node says that it is not ready" node_is False
cp_ready n1
check_eventually 60 "and that it is again" node_is True
cp_node_runtime n1 containerd://1.6.20
check_out "it reports containerd" containerd://1.6.20 k get node n1 -o 'jsonpath={.status.nodeInfo.containerRuntimeVersion}'

# -- a server that is not well ----------------------------------------------------------------------

says() { local text=$1; shift; "$@" 2>&1 | tee /dev/stderr | grep -qF -- "$text"; }
# Indented, as curl gets it: the tree's JSON library and Debian's Go do not fit without the build's repair.
check "the API server lives through indented JSON" answer 200 '  "kind": "Node"' n1 GET "$node?pretty=true"
check "and goes on" answer 200 ok admin GET /readyz
cp_pause
check "a paused server takes the connection and never answers" \
    says 'timed out' cp_request n1 GET $node --timeout 3
cp_continue
check "it goes on" answer 200 castoff.test/x n1 GET $node
cp_stop_api
check "a stopped server refuses the connection" says 'Connection refused' cp_request n1 GET $node
last=$(date -u +%Y-%m-%dT%H:%M:%SZ)
from=$(_now)
cp_start_api || die "the API server starts again"
note "API server back in $(_since "$from") s"
check "it is at the same address, with the same data" answer 200 castoff.test/x n1 GET $node
newer_than_stop() { [ "$(heartbeat)" \> "$last" ]; }
check_eventually 120 "the stand-in has found it again" newer_than_stop

# -- the end ----------------------------------------------------------------------------------------

dir=$CP_DIR
check_out "all of it runs: four processes and two stand-ins" \
    "etcd kube-apiserver kube-controller-manager kube-scheduler stand-in-n1 stand-in-n2" processes_of cluster
cp_up beside || die "a second control plane comes up beside it"
cp_use cluster
check "the first goes down" cp_down
check "nothing of it is left" test ! -e "$dir"
# A minder names the folder as its last word, and may take two seconds to see that its work is done.
check_fails "no process of it is left" pgrep -f -- "$dir/.* "
cp_use beside
check "the other one is as it was" answer 200 ok admin GET /readyz
note "left running on purpose: what a scenario started goes when it ends"
