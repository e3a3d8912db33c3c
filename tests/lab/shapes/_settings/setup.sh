# From a Debian node with Docker and the lab's images to a node with cri-dockerd and a kubelet, both of which are
# stand-ins, and a registry with two images that the node itself has not.
set -eu
mkdir -p /opt/cni/bin
cp -fl /usr/lib/cni/* /opt/cni/bin/ 2>/dev/null || cp -f /usr/lib/cni/* /opt/cni/bin/
modprobe -a overlay br_netfilter
sysctl -q -p /etc/sysctl.d/99-kubernetes.conf
swapoff -a

for name in lab-cri lab-cri-dockerd lab-registry; do ln -f /usr/bin/kubelet /usr/bin/$name; done
for name in library__mirrored lab__tool; do
    dir=/var/lib/lab/registry/$name
    mkdir -p $dir
    made=$(docker create castoff.test/web:1)
    docker export "$made" | docker import -c "LABEL lab=$name" -c 'ENV PATH=/bin' - "$name:1" >/dev/null
    docker rm "$made" >/dev/null
    docker save "$name:1" | tar -xf - -C $dir
    docker rmi "$name:1" >/dev/null
done

systemctl daemon-reload
systemctl enable --quiet --now lab-registry.service cri-docker.service kubelet.service
