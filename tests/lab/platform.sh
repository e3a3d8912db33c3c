# Run in a node: what it is, on one line. `-` where it has no such thing.
. /etc/os-release
first() { "$@" 2>/dev/null | head -n 1; }
or() { [ -n "$1" ] && echo "$1" || echo "-"; }
if [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ]; then cg=v2
elif [ -d /sys/fs/cgroup/unified ] && [ "$(stat -fc %T /sys/fs/cgroup/unified)" = cgroup2fs ]; then cg=hybrid
else cg=v1; fi
docker=$(docker version -f '{{.Server.Version}}' 2>/dev/null | tail -n 1)
driver=$(docker info -f '{{.CgroupDriver}}' 2>/dev/null | tail -n 1)
printf 'suite %s, kernel %s, systemd %s, cgroups %s, Docker %s (%s), containerd %s, runc %s, kubelet %s\n' \
    "$(or "${VERSION_CODENAME:-}")" "$(uname -r)" \
    "$(systemctl --version | sed -n '1s/systemd \([0-9]*\).*/\1/p')" "$cg" \
    "$(or "$docker")" "$(or "$driver")" \
    "$(or "$(first containerd --version | cut -d' ' -f3)")" \
    "$(or "$(first runc --version | cut -d' ' -f3)")" \
    "$(or "$(first kubelet --version | cut -d' ' -f2)")"
