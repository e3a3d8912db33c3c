# A container node has real systemd, D-Bus, unit files, Docker on cgroupfs, containerd and kubelet on cgroup v1. Pods
# cannot start in it where the host lacks CAP_SYS_RESOURCE (a sandbox asks for oom_score_adj -998): then no pod runs
# before the migration, none is waited for, and everything else is as on a machine.

[ -x "${CASTOFF_BIN:-}" ] || die "CASTOFF_BIN names the castoff to be tried"

node_up bookworm-container c

exits() { local wanted=$1 code; shift; "$@"; code=$?; [ $code = "$wanted" ] || { echo "exit code $code, expected $wanted"; return 1; }; }
sums() { on c 'find /etc/containerd /etc/docker/daemon.json /etc/crictl.yaml /etc/systemd/system /var/lib/kubelet/config.yaml /var/lib/kubelet/kubeadm-flags.env \( -type f -printf "%p %m %u " -exec sha256sum {} \; -o -type l -printf "%p -> %l\n" \) 2>/dev/null | sort;
    for u in docker.service docker.socket containerd.service kubelet.service; do echo $u $(systemctl is-active $u) $(systemctl is-enabled $u); done' >"$LAB_RESULTS/$1"; }
same_as() { sums "$2" && diff "$LAB_RESULTS/$1" "$LAB_RESULTS/$2"; }

# All that may be wrong is that this kind of node runs no pods.
proven() {
    on c castoff verify --level cri -o json | python3 -c '
import json, sys
failed = [c for c in json.load(sys.stdin)["checks"] if c["status"] == "fail"]
print([c["id"] + ": " + c["detail"] for c in failed])
sys.exit(any(c["id"] != "shadow-pod" or "a privilege is missing" not in c["detail"] for c in failed))'
}
# A node that runs pods has nothing to be refused for.
pods_or_refused() {
    if on c capsh --has-p=cap_sys_resource; then return 0; fi
    exits 3 on c castoff migrate --yes >"$LAB_RESULTS/refused.log" 2>&1 && grep -q 'pod-trial-failed' "$LAB_RESULTS/refused.log"
}

sums before
check "inspect sees cgroup v1" on c "castoff inspect -o json | tr -d ' \n' | grep -Eq '\"mode\":\{\"value\":\"(legacy|hybrid)\"'"
check "inspect sees Docker on cgroupfs" on c "castoff inspect | grep -q 'cgroup driver   cgroupfs'"
check "plan" on c castoff plan
check "nothing was written" same_as before planned
note "pods before: $(on c 'docker ps -q --filter label=io.kubernetes.docker.type=container | wc -l') running on Docker"
check "pods that cannot run are found first" pods_or_refused
check "nothing was written" same_as before refused
check "migrate" on c castoff migrate --yes --keep-on-verify-failure --skip-check pod-trial-failed
check "verify up to CRI" proven
check "Docker is masked and stopped" on c '! systemctl is-active docker.service && test "$(systemctl is-enabled docker.service)" = masked'
check "kubelet asks containerd" on c 'tr "\0" " " </proc/$(systemctl show -P MainPID kubelet.service)/cmdline | grep -q container-runtime-endpoint=unix:///run/containerd/containerd.sock'
check "rollback" on c castoff rollback
check "every file, link and unit state is as it was" same_as before after
