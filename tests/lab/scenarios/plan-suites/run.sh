# What castoff sees and would do on the other suites. Nothing is changed there; what it would write is shown to the
# containerd of that suite.
# bullseye has the real kubelet with dockershim. For trixie and forky no kubelet of their age can be built: a unit and
# files stand in for it, and its version is stated with --assume.

[ -x "${CASTOFF_BIN:-}" ] || die "CASTOFF_BIN names the castoff to be tried"

CONFIG=/etc/containerd/config.toml
sums() { on "$1" 'find /etc /var/lib/kubelet -type f -exec sha256sum {} + | sort' >"$LAB_RESULTS/$2"; }
loads() { # loads NODE: the planned file, read by the node's own containerd
    on "$1" castoff plan --no-diff --out /root/plan.json "${ASSUME[@]}" >/dev/null || return 1
    get "$1" /root/plan.json "$LAB_RESULTS/plan-$1.json"
    python3 "$SCENARIO_DIR/config-of.py" "$LAB_RESULTS/plan-$1.json" $CONFIG >"$LAB_RESULTS/config-$1.toml" || return 1
    put "$1" "$LAB_RESULTS/config-$1.toml" /root/config.toml
    on "$1" containerd --config /root/config.toml config dump >"$LAB_RESULTS/dump-$1.toml"
}
answer() { on "$1" 'docker info -f "{{.ServerVersion}}" && ctr -n k8s.io containers list'; }
dump_has() { grep -q "$2" "$LAB_RESULTS/dump-$1.toml"; }

# Suites go on while they are supported, and the testing one every day: what a node has is what its dpkg says.
containerd_of() { on "$1" dpkg-query -W -f '${Version}' containerd | sed 's/[~+-].*//'; }

suite() { # suite NODE SHAPE
    local node=$1 shape=$2 version
    node_up "$shape" "$node"
    check_eventually 300 "$node: Docker and containerd answer" answer "$node"
    version=$(containerd_of "$node")
    [ -n "$version" ] || die "$node: dpkg names a version of containerd"
    sums "$node" "before-$node"
    check "$node: inspect" on "$node" castoff inspect "${ASSUME[@]}"
    check "$node: sees containerd $version" on "$node" "castoff inspect -o json ${ASSUME[*]} | tr -d ' \n' | grep -q '\"containerd\":{\"installed\":true,\"running\":true,\"version\":{\"value\":\"$version'"
    check "$node: plan" on "$node" castoff plan "${ASSUME[@]}"
    check "$node: its containerd loads the planned configuration" loads "$node"
    sums "$node" "after-$node"
    check "$node: nothing was written" diff "$LAB_RESULTS/before-$node" "$LAB_RESULTS/after-$node"
}

ASSUME=()
suite bullseye bullseye-dockershim
check "bullseye: kubelet 1.20.2 on dockershim" on bullseye "castoff inspect | grep -q 'Docker (dockershim)'"
check "bullseye: the plan keeps Debian's CNI directory" grep -q 'bin_dir = "/usr/lib/cni"' "$LAB_RESULTS/config-bullseye.toml"
node_down bullseye

ASSUME=(--assume kubelet.version=1.29.4)
for name in trixie forky; do
    node_up $name $name
    check_eventually 300 "$name: Docker and containerd answer" answer $name
    on $name 'mkdir -p /var/lib/kubelet /etc/cni/net.d'
    put $name "$SCENARIO_DIR/kubelet/kubelet.service" /etc/systemd/system/kubelet.service
    put $name "$SCENARIO_DIR/kubelet/config.yaml" /var/lib/kubelet/config.yaml
    put $name "$SCENARIO_DIR/kubelet/kubeadm-flags.env" /var/lib/kubelet/kubeadm-flags.env
    put $name "$SCENARIO_DIR/kubelet/10-bridge.conflist" /etc/cni/net.d/10-bridge.conflist
    on $name systemctl daemon-reload
    note "$name: a unit and files stand in for kubelet, version by --assume"
    version=$(containerd_of $name)
    [ -n "$version" ] || die "$name: dpkg names a version of containerd"
    sums $name before-$name
    check "$name: inspect" on $name castoff inspect "${ASSUME[@]}"
    check "$name: sees containerd $version" on $name "castoff inspect | grep -qF ' $version '"
    check "$name: plan, endpoint rewritten" on $name "castoff plan ${ASSUME[*]} | grep -q -- '+.*--container-runtime-endpoint=unix:///run/containerd/containerd.sock'"
    check "$name: no flag that this kubelet would die of" on $name "! castoff plan ${ASSUME[*]} | grep -q -- '^+.*--container-runtime=remote'"
    check "$name: its containerd loads the planned configuration" loads $name
    check "$name: and takes systemd's driver from it" dump_has $name 'SystemdCgroup = true'
    sums $name after-$name
    check "$name: nothing was written" diff "$LAB_RESULTS/before-$name" "$LAB_RESULTS/after-$name"
    node_down $name
done
