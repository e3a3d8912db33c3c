# The same bundles through castoff's runtime and through the node's own runc, with either cgroup driver; then containerd
# with castoff in runc's place.

[ -x "${CASTOFF_BIN:-}" ] || die "CASTOFF_BIN names the castoff to be tried"

# cases NODE RUNTIME DRIVER: what each bundle gives, one line a case.
cases() { on "$1" "sh -s $2 $3" <"$SCENARIO_DIR/cases.sh" >"$LAB_RESULTS/$1-$2-$3.txt" && ! grep -q '^LEFT' "$LAB_RESULTS/$1-$2-$3.txt"; }
alike() { diff "$LAB_RESULTS/$1-runc-$2.txt" "$LAB_RESULTS/$1-castoff-$2.txt"; }
said() { grep -q -- "$2" "$LAB_RESULTS/$1.txt"; }
under_containerd() { on "$1" "ctr run --rm --runc-binary /run/castoff-oci $2 castoff.invalid/probe:1 lab-1 /probe $3"; }
filtered() { under_containerd "$1" --seccomp 'cat /proc/self/status' | grep 'Seccomp:.*2'; }

runtime() { # runtime NODE SHAPE
    local node=$1 driver
    node_up "$2" "$node"
    note "$node: $(on "$node" 'stat -fc %T /sys/fs/cgroup; runc --version | head -n 1' | paste -sd' ')"
    for driver in cgroupfs systemd; do
        check "$node, $driver: runc runs every bundle" cases "$node" runc $driver
        check "$node, $driver: castoff runs every bundle" cases "$node" castoff $driver
        check "$node, $driver: with the same results" alike "$node" $driver
        check "$node, $driver: and the cgroup is where it belongs" said "$node-castoff-$driver" "^place .*ok$"
    done
    on "$node" 'ln -sf $(command -v castoff) /run/castoff-oci; castoff oci image --out /root/probe.tar probe && systemctl start containerd && ctr images import /root/probe.tar >/dev/null'
    check_out "$node: containerd's shim runs a container by it" castoff under_containerd "$node" "" "echo castoff"
    check "$node: under containerd's own seccomp profile" filtered "$node"
    check_fails "$node: an exit code comes through" under_containerd "$node" "" "exit 7"
    node_down "$node"
}

# Linux 5.10: too old for libcontainer, and said so.
node_up bullseye-dockershim bullseye
on bullseye castoff oci spec --bundle /var/lib/lab-bundle t1 uname
check "bullseye: its kernel is said to be too old" on bullseye 'castoff oci run --bundle /var/lib/lab-bundle t1 2>&1 | grep "needs Linux 5.12"'
check "bullseye: nothing is left" on bullseye '! ls -d /sys/fs/cgroup/*/castoff /run/castoff/oci/t1 2>/dev/null'
check "bullseye: a verification skips what needs it, and tries runc" on bullseye 'castoff verify --level runtime | grep -A9 "reference-runs.*the kernel is 5.10" | grep "✔.*runc-confines"'
node_down bullseye

# cgroup v1 and systemd, on the kernel of this machine.
runtime container bookworm-container
runtime bookworm bookworm
runtime trixie trixie
runtime forky forky
