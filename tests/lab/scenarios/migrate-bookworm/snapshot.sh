# What must come back byte for byte: content, mode, owner and link targets below /etc and kubelet's own files.
# Left out: what daemons write by themselves while they run; a kubelet that is killed while it starts leaves an empty
# file beside its socket in pod-resources. A program for each file would take half a minute.
cd /
files() {
    find etc var/lib/kubelet \( -path var/lib/kubelet/pods -o -path var/lib/kubelet/plugins -o -path var/lib/kubelet/device-plugins -o -path 'var/lib/kubelet/pod-resources/[0-9]*' -o -name '*.lock' -o -name .updated \
        -o -name cpu_manager_state -o -name memory_manager_state -o -path etc/docker/key.json -o -path etc/resolv.conf \) -prune -o "$@"
}
files \( -type f -printf '%p %m %u:%g %TY-%Tm-%Td %TT\n' -o -type l -printf '%p -> %l\n' -o -type d -printf '%p %m %u:%g\n' \) | sort
files -type f -print0 | sort -z | xargs -0 sha256sum
for unit in docker.service docker.socket containerd.service kubelet.service; do
    echo "$unit $(systemctl is-active $unit) $(systemctl is-enabled $unit)"
done
