# Whose fault it is. The container node has cgroup v1 and systemd, and lacks CAP_SYS_RESOURCE, which is one of the faults.

[ -x "${CASTOFF_BIN:-}" ] || die "CASTOFF_BIN names the castoff to be tried"
command -v python3 >/dev/null || die "python3 reads castoff's answers"

NODE=n
judged() { # judged FAULT…: breaks the node and lets castoff say whose fault it is
    local code=0
    on $NODE "second=${CASTOFF_EXTENT:-} sh -s $*" <"$SCENARIO_DIR/faults.sh" >"$LAB_RESULTS/faults.out" 2>&1 || code=$?
    python3 "$SCENARIO_DIR/judge.py" $code <"$LAB_RESULTS/faults.out" | tee "$LAB_RESULTS/matrix.txt"
    return "${PIPESTATUS[0]}"
}
# What a verification could have left: its pods' cgroups, files, processes and mounts.
traces() {
    on $NODE 'find /sys/fs/cgroup -name "castoff*"; ls -d /run/castoff/* /var/lib/castoff/verify-* /var/lib/castoff/live-* 2>/dev/null
        pgrep -a "^(probe|pause)\$"; grep -E "/run/castoff|castoff-verify" /proc/self/mountinfo; true'
}
# Kills castoff in the middle, then lets the next one tidy up.
killed() {
    on $NODE "castoff verify --level cri >/dev/null 2>&1 & sleep $1; kill -9 \$!; sleep 0.2; castoff verify --level cri --quick -o json" |
        python3 -c 'import json, sys; sys.exit(any(c["status"] == "fail" and c["rung"] in ("shadow", "handler", "reference", "runc") for c in json.load(sys.stdin)["checks"]))'
}

node_up bookworm-container $NODE
on $NODE 'systemctl stop kubelet'
put $NODE "$SCENARIO_DIR/good.toml" /root/good.toml
on $NODE 'cp /root/good.toml /etc/containerd/config.toml; systemctl restart containerd'
on $NODE 'castoff oci image --out /root/pause.tar pause && ctr -n k8s.io images import /root/pause.tar >/dev/null'
check "every fault is told from the others" judged
while read -r line; do note "$line"; done <"$LAB_RESULTS/matrix.txt"
check_out "nothing is left" "" traces
for after in 0.7 1.5 2.5; do
    check "killed after $after s, the next verification is not misled" killed $after
done
check_out "nothing is left of those either" "" traces
