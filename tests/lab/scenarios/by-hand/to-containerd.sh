# The published procedure for moving a node off dockershim, step by step, as a careful person types it.
set -eu
step() { echo "[$(date +%s.%N | cut -c1-14)] $*"; }

step "stop kubelet"
systemctl stop kubelet.service

step "copy the images"
mkdir -p /var/tmp/by-hand
# IMAGES: what the node's pods use, where that is more.
for image in ${IMAGES:-castoff.test/pause:1 castoff.test/web:1}; do
    docker save "$image" | ctr -n k8s.io images import -
done

step "stop and disable Docker"
cp -a /etc/containerd/config.toml /var/lib/kubelet/kubeadm-flags.env /var/lib/kubelet/config.yaml /var/tmp/by-hand/
systemctl disable --now docker.service docker.socket 2>&1

step "new containerd configuration"
containerd config default |
    sed -e 's|^\( *sandbox_image = \).*|\1"castoff.test/pause:1"|' \
        -e 's|^\( *SystemdCgroup = \).*|\1true|' >/etc/containerd/config.toml
systemctl restart containerd.service

step "kubelet: flags, cgroup driver"
sed -i 's|--network-plugin=cni|--container-runtime=remote --container-runtime-endpoint=unix:///run/containerd/containerd.sock|' \
    /var/lib/kubelet/kubeadm-flags.env
sed -i 's|^cgroupDriver: cgroupfs|cgroupDriver: systemd|' /var/lib/kubelet/config.yaml

step "start kubelet"
systemctl start kubelet.service
step "done"
