# A control plane out of the programs and manifests that are in the staging folder, each program in an image FROM scratch.
set -eu
staged=/var/lib/lab/control-plane
mkdir -m 700 /var/lib/etcd

while read -r component image; do
    dir=$(mktemp -d)
    program=$staged/$component
    [ -e "$program" ] || program=/usr/local/bin/$component
    mkdir -p "$dir/usr/local/bin"
    cp "$program" "$dir/usr/local/bin/$component"
    # Debian's etcd needs a C library; what is built for the lab needs nothing.
    for lib in $(ldd "$program" 2>/dev/null | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p'); do
        mkdir -p "$dir$(dirname "$lib")"
        cp -L "$lib" "$dir$lib"
    done
    tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf - -C "$dir" . |
        docker import -c 'ENV PATH=/usr/local/bin' - "$image"
    rm -rf "$dir"
    rm -f -- "$staged/$component"
done <"$staged/images"

mv "$staged"/manifests/*.yaml /etc/kubernetes/manifests/
export KUBECONFIG=/etc/kubernetes/admin.conf
n=0
until kubectl get --raw /readyz >/dev/null 2>&1 && kubectl get node node >/dev/null 2>&1; do
    n=$((n + 1))
    [ $n -lt 600 ] || { echo "no API server, or no node in it"; docker ps -a; journalctl -u kubelet -n 20 --no-pager; exit 1; }
    sleep 2
done
kubectl label --overwrite node node node-role.kubernetes.io/control-plane= node-role.kubernetes.io/master=
kubectl taint --overwrite node node node-role.kubernetes.io/master=:NoSchedule
kubectl annotate --overwrite node node kubeadm.alpha.kubernetes.io/cri-socket=/var/run/dockershim.sock
kubectl apply -f "$staged/cluster.yaml"
