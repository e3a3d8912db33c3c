# In the node: breaks one thing after the other, asks castoff whose fault it is, and mends it.
# Arguments: names of faults; without, all.
config=/etc/containerd/config.toml
good=/root/good.toml
chosen=" $* "

conf() { cp $good $config; [ $# = 0 ] || sed -i "$@" $config; }
conf

# look FAULT ID WORDS [OPTION…]: the first failing check of the rungs must be ID, and say WORDS (a regular expression).
# judge.py, outside, decides.
look() {
    echo "@@ $1|$2|$3"
    shift 3
    # shellcheck disable=SC2086 # empty for all checks
    castoff verify --level cri ${extent---quick} "$@" -o json 2>/root/asked.err || cat /root/asked.err
    echo @@
}

# good WHAT [OPTION…]: nothing may fail.
good() {
    echo "@@ $1||"
    shift
    castoff verify --level cri "$@" -o json 2>/root/asked.err || cat /root/asked.err
    echo @@
}

# want FAULT: whether it was asked for.
want() { [ "$chosen" = "  " ] || case $chosen in *" $1 "*) ;; *) return 1 ;; esac; }

# possible FAULT WHY-NOT COMMAND…: whether it was asked for and this node can have it.
possible() {
    want "$1" || return 1
    fault=$1 why=$2
    shift 2
    "$@" && return
    echo "@@skip $fault|$why"
    return 1
}
lacks() { ! capsh --has-p="$1" 2>/dev/null; }

runc=$(command -v runc)
shim=$(command -v containerd-shim-runc-v2)
daemon=$(command -v containerd)
away() { mv "$1" "$1.away"; }
back() { rm -f "$1"; mv "$1.away" "$1"; }
half() { away "$1"; head -c $(($(stat -c %s "$1.away") / 2)) "$1.away" >"$1"; chmod 755 "$1"; }

# The daemon itself, while kubelet is stopped. It has castoff's sandbox image under its own name so far.
sandbox=registry.k8s.io/pause:3.6
if want sandbox-image-missing; then look sandbox-image-missing live-pod "sandbox image $sandbox"; fi
tagged() { ctr -n k8s.io images tag castoff.invalid/pause:1 $sandbox >/dev/null && ctr -n k8s.io images rm castoff.invalid/pause:1 >/dev/null; }
tagged

if want good; then
    # shellcheck disable=SC2086 # empty for what is usual
    good "good node, systemd" ${first---full}
    conf 's/SystemdCgroup = true/SystemdCgroup = false/'
    systemctl restart containerd
    # shellcheck disable=SC2086
    good "good node, cgroupfs" ${second---full} --cgroup-driver cgroupfs
    conf
    systemctl restart containerd
fi

# containerd's configuration
if want toml-syntax; then conf '1i [nonsense'; look toml-syntax shadow-starts 'toml|table|expect'; fi
if want wrong-type; then
    conf 's/^sandbox_image.*/sandbox_image = 5/'
    look wrong-type shadow-starts 'sandbox_image|sandboximage|type|convert'
fi
if want cri-disabled-short; then conf '1a disabled_plugins = ["cri"]'; look cri-disabled-short shadow-starts 'cri'; fi
if want cri-disabled; then
    conf '1a disabled_plugins = ["io.containerd.grpc.v1.cri"]'
    look cri-disabled shadow-starts 'runs without CRI'
fi
if want default-runtime-missing; then
    conf 's/^restrict_oom.*/&\n[plugins."io.containerd.grpc.v1.cri".containerd]\ndefault_runtime_name = "nope"/'
    look default-runtime-missing shadow-starts 'nope'
fi
if want driver-as-text; then
    conf 's/SystemdCgroup = true/SystemdCgroup = "true"/'
    look driver-as-text shadow-pod "handler's table"
fi
if want driver-misspelt; then
    conf 's/SystemdCgroup = true/SystemdCgrup = true/'
    look driver-misspelt shadow-cgroup 'not the systemd cgroup driver'
fi
if want driver-off; then
    conf 's/SystemdCgroup = true/SystemdCgroup = false/'
    look driver-off shadow-cgroup 'not the systemd cgroup driver'
fi
if want driver-on; then
    conf
    look driver-on shadow-pod "slice:prefix:name" --cgroup-driver cgroupfs
fi
if want section-of-2.x; then
    conf 's/io.containerd.grpc.v1.cri".containerd.runtimes.runc/io.containerd.cri.v1.runtime".containerd.runtimes.runc/'
    look section-of-2.x shadow-cgroup 'not the systemd cgroup driver'
fi
if want shim-misspelt; then
    conf 's/io.containerd.runc.v2/io.containerd.rnc.v2/'
    look shim-misspelt shadow-pod "handler's table.*rnc"
fi
if want binary-name-wrong; then
    conf 's/SystemdCgroup = true/&\nBinaryName = "\/opt\/nothing\/runc"/'
    look binary-name-wrong runc-runs '/opt/nothing/runc is not there'
fi
conf

# the pod network
if want cni-plugin-missing; then
    away /opt/cni/bin/bridge
    extent='' look cni-plugin-missing shadow-pod-network 'the pod network.*bridge'
    back /opt/cni/bin/bridge
fi
if want cni-no-addresses; then
    cp /etc/cni/net.d/10-bridge.conflist /root/bridge
    sed -i 's/"subnet": *"[^"]*"/"subnet": "10.85.0.1\/32"/' /etc/cni/net.d/10-bridge.conflist
    extent='' look cni-no-addresses shadow-pod-network 'the pod network'
    cp /root/bridge /etc/cni/net.d/10-bridge.conflist
fi

# programs
if want runc-truncated; then half "$runc"; look runc-truncated runc-runs 'is at fault'; back "$runc"; fi
if want runc-missing; then away "$runc"; look runc-missing runc-runs 'runc is not there'; back "$runc"; fi
if want runc-not-executable; then
    chmod 644 "$runc"
    look runc-not-executable runc-runs 'runc is not there|permission'
    chmod 755 "$runc"
fi
if want runc-silent; then
    away "$runc"; printf '#!/bin/sh\nexit 1\n' >"$runc"; chmod 755 "$runc"
    look runc-silent runc-runs 'is at fault.*without a word'
    back "$runc"
fi
if want runc-liar; then
    away "$runc"; printf '#!/bin/sh\nexit 0\n' >"$runc"; chmod 755 "$runc"
    look runc-liar runc-runs 'is at fault'
    back "$runc"
fi
if want runc-denied; then
    # What a security module makes of it: only runc is refused.
    away "$runc"; printf '#!/bin/sh\necho "runc run failed: unable to start container process: open /proc/self/attr/exec: permission denied" >&2\nexit 1\n' >"$runc"
    chmod 755 "$runc"
    look runc-denied runc-runs 'is at fault.*permission denied'
    back "$runc"
fi
if want shim-missing; then away "$shim"; look shim-missing shadow-pod 'containerd, its configuration or its shim.*shim'; back "$shim"; fi
if want shim-truncated; then half "$shim"; look shim-truncated shadow-pod 'containerd, its configuration or its shim'; back "$shim"; fi
if want containerd-truncated; then half "$daemon"; look containerd-truncated shadow-starts '.'; back "$daemon"; fi

# the kernel, its cgroups, privileges, room
if possible memory-read-only "no memory controller of cgroup v1" [ -d /sys/fs/cgroup/memory ]; then
    mount -o remount,ro,bind /sys/fs/cgroup/memory
    look memory-read-only reference-runs "kernel's cgroups"
    mount -o remount,rw,bind /sys/fs/cgroup/memory
fi
if possible pids-missing "no pids controller of cgroup v1" [ -d /sys/fs/cgroup/pids ]; then
    umount /sys/fs/cgroup/pids
    look pids-missing reference-runs "kernel's cgroups"
    mount -t cgroup -o pids cgroup /sys/fs/cgroup/pids
fi
if possible no-sys-resource "this node has that privilege" lacks cap_sys_resource; then
    conf '/restrict_oom/d'
    look no-sys-resource shadow-pod 'a privilege is missing'
    conf
fi
if want no-room; then
    mkdir -p /run/castoff /var/lib/castoff
    mount -t tmpfs -o size=4k tmpfs /var/lib/castoff
    mount -t tmpfs -o size=4k tmpfs /run/castoff
    look no-room reference-runs 'no room|No space'
    umount /run/castoff /var/lib/castoff
fi
if want containerd-disk-full; then
    systemctl stop containerd
    mount -t tmpfs -o size=4m tmpfs /var/lib/containerd
    systemctl start containerd
    ctr -n k8s.io images import /root/pause.tar >/dev/null && tagged
    dd if=/dev/zero of=/var/lib/containerd/full bs=4k >/dev/null 2>&1
    look containerd-disk-full live-pod 'no space left|no room'
    systemctl stop containerd
    umount /var/lib/containerd
    systemctl start containerd
fi
# Whatever stopped before says nothing about the rest.
echo @@end
