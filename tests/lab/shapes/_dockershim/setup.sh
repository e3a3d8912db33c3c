# From a plain Debian node with Docker to a kubeadm-style node whose kubelet uses dockershim.
set -eu
# Debian keeps the CNI plugins in /usr/lib/cni; kubelet's default, and containerd's, is /opt/cni/bin.
# Hard links: real files in both places, as on a node with the kubernetes-cni package.
mkdir -p /opt/cni/bin
cp -fl /usr/lib/cni/* /opt/cni/bin/ 2>/dev/null || cp -f /usr/lib/cni/* /opt/cni/bin/

modprobe -a overlay br_netfilter 2>/dev/null || echo "no modprobe here (a container node)"
sysctl -q -p /etc/sysctl.d/99-kubernetes.conf || echo "some sysctls are refused here (a container node)"
swapoff -a 2>/dev/null || true

systemctl daemon-reload
systemctl restart containerd.service docker.service
systemctl enable --quiet --now kubelet.service
