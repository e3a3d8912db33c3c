# A cluster to talk to, for scenarios and other tests: source this file (bash), then `cp_up NAME`.
# See control-plane.md. All functions fail with the exit code of what failed; none ends the shell.
# shellcheck shell=bash

LAB=${LAB:-$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/lab}

# cp_up NAME: a control plane of its own, and CP_… for the functions below. cp_use NAME: one that runs already.
cp_up() { _cp_take up "$1"; }
cp_use() { _cp_take env "$1"; }
_cp_take() {
    local text
    text=$("$LAB" control-plane "$@") && eval "$text"
}
cp_down() { "$LAB" control-plane down "${1:-$CP_NAME}"; }

cp_pause() { "$LAB" control-plane pause "$CP_NAME"; }
cp_continue() { "$LAB" control-plane continue "$CP_NAME"; }
cp_stop_api() { "$LAB" control-plane stop-api "$CP_NAME"; }
cp_start_api() { "$LAB" control-plane start-api "$CP_NAME"; }

# k ARGS...: kubectl 1.20.2 as the administrator. k_node NODE ARGS...: with a node's own certificate.
k() { "$CP_KUBECTL" --kubeconfig "$CP_ADMIN_CONF" --cache-dir "$CP_DIR/kubectl" "$@"; }
k_node() {
    local node=$1; shift
    "$CP_KUBECTL" --kubeconfig "$CP_DIR/users/$node/kubelet.conf" --cache-dir "$CP_DIR/kubectl-$node" "$@"
}

# cp_request USER METHOD PATH [BODY] [--type TYPE]: one raw request; prints the status code, then the body.
# cp_code: only the code. cp_do: nothing, and it fails when the code is not 2xx (then it prints the answer).
# USER is admin, a node (n1), `anonymous`, or one made with `lab control-plane user`.
cp_request() { "$LAB" control-plane request "$CP_NAME" "$@"; }
cp_code() { cp_request "$@" | sed -n 1p; }
cp_do() {
    local answer
    answer=$(cp_request "$@") || return
    case $answer in 2*) ;; *) printf '%s\n' "$answer" >&2; return 1 ;; esac
}

# _cp_until SECONDS cmd...: the deadline ends a hung run; it does not judge speed.
_cp_until() {
    local end=$((SECONDS + $1)); shift
    until "$@"; do
        [ $SECONDS -lt $end ] || { echo "not in time: $*" >&2; return 1; }
        sleep 0.2
    done
}

# -- nodes ----------------------------------------------------------------------------------------

# cp_node NODE [RUNTIME]: registers a node as a kubelet of 1.20.2 that kubeadm joined would, with
# dockershim's socket in kubeadm's annotation, and waits until pods can be scheduled on it.
cp_node() {
    local node=$1 runtime=${2:-docker://20.10.24} stamp address
    [ -d "$CP_DIR/users/$node" ] || "$LAB" control-plane node "$CP_NAME" "$node" >/dev/null || return
    cp_do admin POST /api/v1/nodes '{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "'"$node"'",
        "annotations": {"kubeadm.alpha.kubernetes.io/cri-socket": "/var/run/dockershim.sock",
            "node.alpha.kubernetes.io/ttl": "0",
            "volumes.kubernetes.io/controller-managed-attach-detach": "true"},
        "labels": {"beta.kubernetes.io/arch": "amd64", "beta.kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64", "kubernetes.io/hostname": "'"$node"'", "kubernetes.io/os": "linux"}}}' \
        || return
    stamp=$(date -u +%Y-%m-%dT%H:%M:%SZ)
    address=192.0.2.$((10 + $(k get nodes -o name | wc -l)))
    cp_do admin PATCH "/api/v1/nodes/$node/status" '{"status": {
        "addresses": [{"type": "InternalIP", "address": "'"$address"'"}, {"type": "Hostname", "address": "'"$node"'"}],
        "capacity": {"cpu": "2", "memory": "4Gi", "pods": "110", "ephemeral-storage": "10Gi"},
        "allocatable": {"cpu": "2", "memory": "4Gi", "pods": "110", "ephemeral-storage": "9Gi"},
        "conditions": [
            {"type": "MemoryPressure", "status": "False", "reason": "KubeletHasSufficientMemory",
                "lastHeartbeatTime": "'"$stamp"'", "lastTransitionTime": "'"$stamp"'"},
            {"type": "DiskPressure", "status": "False", "reason": "KubeletHasNoDiskPressure",
                "lastHeartbeatTime": "'"$stamp"'", "lastTransitionTime": "'"$stamp"'"},
            {"type": "PIDPressure", "status": "False", "reason": "KubeletHasSufficientPID",
                "lastHeartbeatTime": "'"$stamp"'", "lastTransitionTime": "'"$stamp"'"},
            {"type": "Ready", "status": "True", "reason": "KubeletReady",
                "lastHeartbeatTime": "'"$stamp"'", "lastTransitionTime": "'"$stamp"'"}],
        "nodeInfo": {"kubeletVersion": "v1.20.2", "kubeProxyVersion": "v1.20.2",
            "containerRuntimeVersion": "'"$runtime"'", "osImage": "Debian GNU/Linux 12 (bookworm)",
            "kernelVersion": "6.1.0", "operatingSystem": "linux", "architecture": "amd64",
            "machineID": "'"$node"'", "systemUUID": "'"$node"'", "bootID": "'"$node"'"}}}' || return
    # The controllers take this taint off a node that says Ready.
    _cp_until 120 _cp_no_taint "$node"
}
_cp_no_taint() { ! k get node "$1" -o 'jsonpath={.spec.taints[*].key}' | grep -q not-ready; }

# cp_node_runtime NODE RUNTIME: what its kubelet reports once it has been moved (containerd://1.6.20).
cp_node_runtime() {
    cp_do admin PATCH "/api/v1/nodes/$1/status" '{"status": {"nodeInfo": {"containerRuntimeVersion": "'"$2"'"}}}'
}

# cp_join LAB_NODE [NODE]: a lab node's own kubelet joins with its own certificate, as `kubeadm join` leaves it. NODE is what
# that kubelet calls itself, which is its host's name. The node has to reach CP_SERVER (`lab forward`, or relay).
cp_join() {
    local at=$1 node=${2:-node} users=$CP_DIR/users/${2:-node} pem=/var/lib/kubelet/pki/kubelet-client-current.pem
    [ -d "$users" ] || "$LAB" control-plane node "$CP_NAME" "$node" >/dev/null || return
    "$LAB" put "$at" "$(readlink -f "$users/kubelet-client-current.pem")" $pem &&
        "$LAB" put "$at" "$CP_CA" /etc/kubernetes/pki/ca.crt &&
        "$LAB" put "$at" "$users/kubelet.conf" /etc/kubernetes/kubelet.conf &&
        "$LAB" ssh "$at" "chmod 600 $pem /etc/kubernetes/kubelet.conf
            sed -i -E 's#client-(certificate|key): .*#client-\\1: $pem#' /etc/kubernetes/kubelet.conf
            printf '[Service]\\nEnvironment=\"KUBELET_KUBECONFIG_ARGS=--kubeconfig=/etc/kubernetes/kubelet.conf\"\\n' \
                >/etc/systemd/system/kubelet.service.d/05-kubeconfig.conf
            systemctl daemon-reload && systemctl restart kubelet.service"
}

# cp_standin NODE [OPTION...]: its kubelet's stand-in; pods of the node run, and go when they shall.
# It ends with cp_standin_stop or with the control plane.
cp_standin() { "$LAB" control-plane stand-in "$CP_NAME" "$@"; }
cp_standin_stop() { "$LAB" control-plane stop-stand-in "$CP_NAME" "$1"; }
# cp_hold NODE: from now on no pod of the node gets deleted for good; cp_let_go ends that.
cp_hold() { : >"$CP_DIR/hold-$1"; }
cp_let_go() { rm -f "$CP_DIR/hold-$1"; }
# cp_not_ready NODE: the stand-in reports a node that is not ready; cp_ready ends that.
cp_not_ready() { : >"$CP_DIR/not-ready-$1"; }
cp_ready() { rm -f "$CP_DIR/not-ready-$1"; }

# cp_pods_run NODE: every pod bound to the node becomes Running and Ready, once, without a stand-in that goes on.
cp_pods_run() { "$(dirname "$LAB")/kubelet-stand-in" "$CP_DIR/" "$1" --once; }

# cp_wait_pods LABEL=VALUE COUNT [NODE]: that many pods with that label are Ready (on that node).
cp_wait_pods() { _cp_until 120 _cp_pods_are "$@"; }
_cp_pods_are() {
    local got on=()
    [ $# -lt 3 ] || on=(--field-selector "spec.nodeName=$3")
    got=$(k get pods -A -l "$1" "${on[@]}" \
        -o 'jsonpath={range .items[*]}{.metadata.deletionTimestamp}{.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}')
    [ "$(grep -cx True <<<"$got")" = "$2" ]
}

# -- what kubeadm leaves in a cluster ---------------------------------------------------------------

# cp_kubelet_config [DRIVER] [1.NN]: the ConfigMap that `kubeadm upgrade node` makes a node's configuration
# from, and kubeadm's role that lets nodes read it.
cp_kubelet_config() {
    local driver=${1:-cgroupfs} release=${2:-1.20}
    k apply -f - >/dev/null <<END
apiVersion: v1
kind: ConfigMap
metadata:
  name: kubelet-config-$release
  namespace: kube-system
data:
  kubelet: |
    apiVersion: kubelet.config.k8s.io/v1beta1
    authentication:
      anonymous:
        enabled: false
      webhook:
        cacheTTL: 0s
        enabled: true
      x509:
        clientCAFile: /etc/kubernetes/pki/ca.crt
    authorization:
      mode: Webhook
      webhook:
        cacheAuthorizedTTL: 0s
        cacheUnauthorizedTTL: 0s
    cgroupDriver: $driver
    clusterDNS:
    - 10.96.0.10
    clusterDomain: cluster.local
    cpuManagerReconcilePeriod: 0s
    evictionPressureTransitionPeriod: 0s
    fileCheckFrequency: 0s
    healthzBindAddress: 127.0.0.1
    healthzPort: 10248
    httpCheckFrequency: 0s
    imageMinimumGCAge: 0s
    kind: KubeletConfiguration
    logging: {}
    nodeStatusReportFrequency: 0s
    nodeStatusUpdateFrequency: 0s
    rotateCertificates: true
    runtimeRequestTimeout: 0s
    shutdownGracePeriod: 0s
    shutdownGracePeriodCriticalPods: 0s
    staticPodPath: /etc/kubernetes/manifests
    streamingConnectionIdleTimeout: 0s
    syncFrequency: 0s
    volumeStatsAggPeriod: 0s
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: kubeadm:kubelet-config-$release
  namespace: kube-system
rules:
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [kubelet-config-$release]
  verbs: [get]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: kubeadm:kubelet-config-$release
  namespace: kube-system
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: kubeadm:kubelet-config-$release
subjects:
- kind: Group
  name: system:nodes
- kind: Group
  name: system:bootstrappers:kubeadm:default-node-token
END
}

# -- pods -----------------------------------------------------------------------------------------

# cp_deployment NAME REPLICAS [NODE]: a real Deployment; the real scheduler puts its pods on nodes that take
# any (with NODE: on that one only). They are labelled app=NAME.
cp_deployment() {
    k apply -f - >/dev/null <<END
apiVersion: apps/v1
kind: Deployment
metadata:
  name: $1
  namespace: default
spec:
  replicas: $2
  selector:
    matchLabels: {app: $1}
  template:
    metadata:
      labels: {app: $1}
    spec:
      nodeSelector: {kubernetes.io/${3:+hostname}${3:-os}: ${3:-linux}}
      containers:
      - name: web
        image: castoff.test/web:1
END
}

# cp_pdb NAME COUNT [APP]: at least COUNT pods labelled app=APP (NAME) must stay. The controllers have seen it
# when this returns: until then no eviction is allowed at all.
cp_pdb() {
    k apply -f - >/dev/null <<END || return
apiVersion: policy/v1beta1
kind: PodDisruptionBudget
metadata:
  name: $1
  namespace: default
spec:
  minAvailable: $2
  selector:
    matchLabels: {app: ${3:-$1}}
END
    _cp_until 120 _cp_pdb_seen "$1"
}
_cp_pdb_seen() {
    local seen
    seen=$(k get pdb "$1" -o 'jsonpath={.metadata.generation} {.status.observedGeneration} {.status.currentHealthy}')
    # shellcheck disable=SC2086
    set -- $seen
    [ $# = 3 ] && [ "$1" = "$2" ]
}

# cp_daemonset NAME: one pod on every node, labelled app=NAME, cordoned or not.
cp_daemonset() {
    k apply -f - >/dev/null <<END
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: $1
  namespace: kube-system
spec:
  selector:
    matchLabels: {app: $1}
  template:
    metadata:
      labels: {app: $1}
    spec:
      containers:
      - name: agent
        image: castoff.test/web:1
END
}

# cp_bare_pod NAME NODE: a pod that nobody makes again, labelled app=NAME.
cp_bare_pod() {
    k apply -f - >/dev/null <<END
apiVersion: v1
kind: Pod
metadata:
  name: $1
  namespace: default
  labels: {app: $1}
spec:
  nodeName: $2
  containers:
  - name: web
    image: castoff.test/web:1
END
}

# cp_mirror_pod NAME NODE: the image of a static pod, NAME-NODE in kube-system, made by the node itself.
cp_mirror_pod() {
    local uid
    uid=$(k get node "$2" -o 'jsonpath={.metadata.uid}') || return
    cp_do "$2" POST /api/v1/namespaces/kube-system/pods '{"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "'"$1-$2"'", "namespace": "kube-system", "labels": {"app": "'"$1"'"},
            "annotations": {"kubernetes.io/config.hash": "0123456789abcdef0123456789abcdef",
                "kubernetes.io/config.mirror": "0123456789abcdef0123456789abcdef",
                "kubernetes.io/config.seen": "2021-01-14T09:00:00.000000000Z",
                "kubernetes.io/config.source": "file"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "'"$2"'", "uid": "'"$uid"'",
                "controller": true}]},
        "spec": {"nodeName": "'"$2"'", "hostNetwork": true, "enableServiceLinks": true,
            "tolerations": [{"operator": "Exists", "effect": "NoExecute"}],
            "containers": [{"name": "web", "image": "castoff.test/web:1"}]}}'
}

# cp_cluster [NODE]: the usual one: a node with kubeadm's ConfigMap, a Deployment `web` of three behind a budget
# of two, a DaemonSet `agent`, a bare pod `alone` and a static pod `static`, all running. Its kubelet's
# stand-in goes on.
cp_cluster() {
    local node=${1:-n1}
    cp_node "$node" && cp_kubelet_config cgroupfs && cp_standin "$node" &&
        cp_deployment web 3 && cp_pdb web 2 && cp_daemonset agent &&
        cp_bare_pod alone "$node" && cp_mirror_pod static "$node" &&
        cp_wait_pods app=web 3 "$node" && cp_wait_pods app=agent 1 "$node" &&
        cp_wait_pods app=alone 1 "$node" && cp_wait_pods app=static 1 "$node" &&
        _cp_until 120 _cp_budget_left web
}
_cp_budget_left() { [ "$(k get pdb "$1" -o 'jsonpath={.status.disruptionsAllowed}')" -ge 1 ]; }
