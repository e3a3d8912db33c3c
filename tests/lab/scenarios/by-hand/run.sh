# The yardstick for castoff: what happens to two pods when a careful person moves the node by hand.
# Gives figures (how long the pods were away) and pins the trap the procedure leaves behind.

node_up bookworm-dockershim n

for f in poll gap to-containerd to-docker cni-del; do put n "$SCENARIO_DIR/$f.sh" /root/by-hand/; done

HOST=http://127.0.0.1:8081/   # the pod on the host's network
PORT=http://10.0.2.15:8082/   # the other pod, by its host port
answers() { on n curl -sf -m 10 "$1"; }

poll_from() { # poll_from TAG: starts asking both pods, five times a second
    on n "mkdir -p /run/by-hand
        setsid sh /root/by-hand/poll.sh $HOST /run/by-hand/$1.host </dev/null >/dev/null 2>&1 &
        setsid sh /root/by-hand/poll.sh $PORT /run/by-hand/$1.port </dev/null >/dev/null 2>&1 &"
    sleep 3
}
poll_end() { # poll_end TAG: stops that and prints the gaps
    sleep 3
    on n "touch /run/by-hand/$1.host.stop /run/by-hand/$1.port.stop"
    sleep 3
    note "$1: away for (s): host network $(on n sh /root/by-hand/gap.sh /run/by-hand/$1.host), host port $(on n sh /root/by-hand/gap.sh /run/by-hand/$1.port)"
}
pod_ip_containerd() { # address of the bridge pod, asked in its own network namespace
    on n 'for p in $(ctr -n k8s.io tasks list | awk "/RUNNING/ { print \$2 }"); do
        nsenter -t $p -n ip -4 -o addr show dev eth0 2>/dev/null | sed -n "s/.* inet \(10\.85[0-9.]*\).*/\1/p"
    done | head -n 1'
}
by_pod_ip() { local ip; ip=$(pod_ip_containerd); [ -n "$ip" ] && answers "http://$ip:8080/"; }
on_systemd_cgroups() { # both pods: a pause and a container each, as scopes below kubepods.slice
    on n 'find /sys/fs/cgroup/kubepods.slice -name "cri-containerd-*.scope" | tee /dev/stderr | wc -l | grep -qx 4'
}

check_out "Docker is on cgroupfs before" cgroupfs on n docker info -f '{{.CgroupDriver}}'
check "pod on the host network answers before" answers $HOST
check "pod on the bridge answers on its host port before" answers $PORT
check "pods are below /kubepods before" on n 'ls -d /sys/fs/cgroup/kubepods/besteffort/pod* /sys/fs/cgroup/kubepods/burstable/pod*'

note "-- there"
poll_from there
check "the procedure runs through" on n 'sh /root/by-hand/to-containerd.sh >/root/by-hand/there.log 2>&1; c=$?; cat /root/by-hand/there.log; exit $c'
on n 'grep "^\[" /root/by-hand/there.log' | sed 's/^/     /'
check_eventually 300 "pod on the host network answers under containerd" answers $HOST
check_eventually 300 "pod on the bridge answers on its own address" by_pod_ip
check_eventually 120 "four scopes cri-containerd-* below kubepods.slice" on_systemd_cgroups
on n 'find /sys/fs/cgroup/kubepods.slice -name "cri-containerd-*.scope" | head -n 1' | sed 's/^/     /'
check_fails "Docker is off" on n systemctl is-active docker.service docker.socket
check "kubelet is active and healthy" on n 'systemctl is-active kubelet && curl -sf http://127.0.0.1:10248/healthz'

# The trap: the old pod's network was never taken down, so its DNAT rule for the host port comes first
# and leads to an address nobody has.
# Whose rule comes first is kubelet's timing; on a loaded host it was the new pod's once. The lease is always left behind.
if answers $PORT >/dev/null; then note "trap: not met this time, the new pod's rule comes first"; else note "trap: the host port leads to the dead pod"; fi
check "trap: two leases although one pod is left" on n '[ $(ls /var/lib/cni/networks/pods | grep -c "^10\.") = 2 ]'
check "trap: the old cgroups /kubepods stay behind" on n 'test -d /sys/fs/cgroup/kubepods'
check "CNI DEL for the dead pods" on n sh /root/by-hand/cni-del.sh
check_eventually 60 "pod on the bridge answers on its host port again" answers $PORT
check "its old lease is given back" on n '[ $(ls /var/lib/cni/networks/pods | grep -c "^10\.") = 1 ]'
poll_end there

note "-- and back"
poll_from back
check "the way back runs through" on n 'sh /root/by-hand/to-docker.sh >/root/by-hand/back.log 2>&1; c=$?; cat /root/by-hand/back.log; exit $c'
on n 'grep "^\[" /root/by-hand/back.log' | sed 's/^/     /'
check_eventually 200 "pod on the host network answers under Docker" answers $HOST
check_eventually 200 "pod on the bridge answers on its host port" answers $PORT
check_eventually 300 "the node is in its shape again" "$LAB" ready n
check_out "containerd runs no pods any more" "" on n ctr -n k8s.io tasks list -q
poll_end back
