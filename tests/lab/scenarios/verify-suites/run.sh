# Good nodes pass every check: apart from the running daemon, and by it while no kubelet runs. Every suite's containerd and
# runc, cgroup v2, both drivers. CASTOFF_SUITES chooses some. An emulated machine needs minutes for all checks: they are
# tried by the node's runc with systemd's driver, and the gate with the other one; CASTOFF_EXTENT=--full tries all of them,
# also by castoff's runtime.

[ -x "${CASTOFF_BIN:-}" ] || die "CASTOFF_BIN names the castoff to be tried"
command -v python3 >/dev/null || die "python3 reads castoff's answers"
FAULTS=$LAB_DIR/scenarios/verify-faults

judged() { # judged NODE: the ladder on a good node, by both drivers
    local code=0
    on "$1" "first=${CASTOFF_EXTENT:-} second=${CASTOFF_EXTENT:---quick} sh -s good" <"$FAULTS/faults.sh" >"$LAB_RESULTS/$1.out" 2>&1 || code=$?
    python3 "$FAULTS/judge.py" $code <"$LAB_RESULTS/$1.out" | tee "$LAB_RESULTS/$1.txt"
    return "${PIPESTATUS[0]}"
}
# The node's own pods have processes of that name too.
traces() {
    on "$1" 'find /sys/fs/cgroup -name "castoff*"; ls -d /run/castoff/* /var/lib/castoff/verify-* /var/lib/castoff/live-* 2>/dev/null
        for p in $(pgrep "^(probe|pause)\$"); do grep -q kubepods /proc/$p/cgroup || tr "\0" " " </proc/$p/cmdline; done; grep -E "/run/castoff|castoff-verify" /proc/self/mountinfo; true'
}

# Where no kubelet of its age can be built, its files stand in for it: without a kubelet nothing is verified.
stand_in() {
    local from=$LAB_DIR/scenarios/plan-suites/kubelet
    on "$1" 'mkdir -p /var/lib/kubelet /etc/cni/net.d /opt/cni/bin; cp -f /usr/lib/cni/* /opt/cni/bin/'
    put "$1" "$from/kubelet.service" /etc/systemd/system/kubelet.service
    put "$1" "$from/config.yaml" /var/lib/kubelet/config.yaml
    put "$1" "$from/kubeadm-flags.env" /var/lib/kubelet/kubeadm-flags.env
    put "$1" "$from/10-bridge.conflist" /etc/cni/net.d/10-bridge.conflist
    on "$1" systemctl daemon-reload
}

for suite in ${CASTOFF_SUITES:-bullseye bookworm trixie forky}; do
    case $suite in
    bullseye | bookworm) node_up "$suite-dockershim" "$suite" ;;
    *)
        node_up "$suite" "$suite"
        stand_in "$suite"
        note "$suite: files stand in for kubelet"
        ;;
    esac
    put "$suite" "$FAULTS/good.toml" /root/good.toml
    on "$suite" 'systemctl stop kubelet; mkdir -p /etc/containerd; cp /root/good.toml /etc/containerd/config.toml; systemctl restart containerd'
    on "$suite" 'castoff oci image --out /root/pause.tar pause && ctr -n k8s.io images import /root/pause.tar >/dev/null'
    check "$suite: every check passes, by both drivers" judged "$suite"
    while read -r line; do note "$suite $line"; done <"$LAB_RESULTS/$suite.txt"
    check_out "$suite: nothing is left" "" traces "$suite"
    # Minutes on an emulated machine: few samples, or none.
    [ "${CASTOFF_EXTENT:-}" = --quick ] && node_down "$suite" && continue
    on "$suite" 'castoff verify --level cri --quick --bench --samples 2' | sed -n '/with runc/,$p' >"$LAB_RESULTS/$suite-bench.txt"
    while read -r line; do note "$suite $line"; done <"$LAB_RESULTS/$suite-bench.txt"
    node_down "$suite"
done
