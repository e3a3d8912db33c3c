# What tests may rely on in a container node, and that it leaves nothing behind on the host.

node_up bookworm-container c

check_out "systemd is up" running on c systemctl is-system-running
check "D-Bus answers" on c busctl --no-pager get-property org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager Version
check_out "Docker is on cgroupfs" cgroupfs on c docker info -f '{{.CgroupDriver}}'
check_out "a plain container runs" hi on c docker run --rm --network none castoff.test/web:1 /bin/busybox echo hi
check_out "kubelet is healthy" ok on c curl -sf http://127.0.0.1:10248/healthz
check_out "kubelet's drop-in is in force" /etc/systemd/system/kubelet.service.d/10-kubeadm.conf on c systemctl show -P DropInPaths kubelet.service
check "containerd's configuration has no version and no CRI" on c 'grep -q "^disabled_plugins = \[\"cri\"\]" /etc/containerd/config.toml && ! grep -q ^version /etc/containerd/config.toml'
check "units can be stopped, disabled and masked" on c 'systemctl disable --now docker.service docker.socket && systemctl mask docker.service && ! systemctl start docker.service'
check "put and get bring the same bytes back" bash -c 'head -c 100000 /dev/urandom >"$1/a" && "$2" put c "$1/a" /root/a && "$2" get c /root/a "$1/b" && cmp "$1/a" "$1/b"' _ "$LAB_RESULTS" "$LAB"
node_down c
check_fails "nothing is left in the host's cgroup tree" bash -c 'ls -d /sys/fs/cgroup/*/castoff-lab-*run-*-c'
