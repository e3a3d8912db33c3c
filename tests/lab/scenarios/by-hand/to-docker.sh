# And back again, by hand too, but the clean way round: the pods are taken off the node first, while the
# runtime that made them still runs, so that each gets its CNI DEL.
set -eu
step() { echo "[$(date +%s.%N | cut -c1-14)] $*"; }

step "take the static pods off the node"
mkdir -p /var/tmp/by-hand/manifests
mv /etc/kubernetes/manifests/*.yaml /var/tmp/by-hand/manifests/
# Not only until the tasks are gone: containerd kills a pod's pause process first and takes its network
# down after that, and stopping kubelet in between ends the call, so that the host port's rule stays.
n=0
while [ -n "$(ctr -n k8s.io tasks list -q)" ] || ls /var/lib/cni/networks/pods/10.* >/dev/null 2>&1; do
    n=$((n + 1)); [ $n -lt 300 ] || { echo "kubelet does not stop the pods"; exit 1; }
    sleep 1
done

step "stop kubelet"
systemctl stop kubelet.service

step "old files back"
cp -a /var/tmp/by-hand/config.toml /etc/containerd/config.toml
cp -a /var/tmp/by-hand/kubeadm-flags.env /var/tmp/by-hand/config.yaml /var/lib/kubelet/
systemctl restart containerd.service

step "start Docker"
systemctl enable --now docker.socket docker.service 2>&1

step "pods and kubelet back"
mv /var/tmp/by-hand/manifests/*.yaml /etc/kubernetes/manifests/
systemctl start kubelet.service
step "done"
