"""What `kubeadm init` leaves on a node: certificates, kubeconfig files, the static pods of a whole control plane and what it
notes in the cluster. For shapes with `control-plane = true`; their setup.sh makes the images and starts it."""
from pathlib import Path

from . import config, control_plane, kubelet, pki

NODE = "node"
ADDRESS = "10.0.2.15"
SERVER = "https://%s:6443" % ADDRESS
# Everything that setup.sh needs and that is not a node's: programs, manifests that wait for their images, cluster.yaml.
STAGED = "var/lib/lab/control-plane"
PKI = "/etc/kubernetes/pki"
# kubeadm says 24: four minutes. An API server in an emulated machine on a busy host may need more.
STARTUP = 60


def key():
    return config.sha(control_plane.key(), Path(__file__), Path(pki.__file__))


def image(component):
    version = kubelet.VERSION
    if component == "etcd":
        version = (control_plane.binaries() / "etcd-version").read_text().split()[-1]
        return "castoff.test/etcd:%s" % version
    return "castoff.test/%s:v%s" % (component, version)


def dress(n, scratch, kubelet_config):
    """Puts all of it onto a node that boots for the first time. `scratch` is an empty folder of this machine."""
    root = Path(scratch)
    _files(root, kubelet_config)
    n.put(root, "/")
    for program in control_plane.COMMANDS + control_plane.ETCD:
        # Those that a person calls stay; the others go into images.
        place = "usr/local/bin" if program in ("kubectl", "etcdctl") else STAGED
        n.put(control_plane.binaries() / program, "/%s/%s" % (place, program))


def _files(root, kubelet_config):
    _certificates(root)
    staged = root / STAGED
    (staged / "manifests").mkdir(parents=True)
    for name, text in _pods().items():
        (staged / "manifests" / (name + ".yaml")).write_text(text)
        (staged / "manifests" / (name + ".yaml")).chmod(0o600)
    (staged / "images").write_text("".join(
        "%s %s\n" % (c, image(c)) for c in ("etcd",) + control_plane.COMMANDS[:3]))
    (staged / "cluster.yaml").write_text(_cluster(kubelet_config))


# -- certificates ---------------------------------------------------------------------------------

def _certificates(root):
    place = root / "etc" / "kubernetes" / "pki"
    (place / "etcd").mkdir(parents=True)
    ca = pki.Authority(place, "ca", "kubernetes")
    here = ["localhost", NODE, "127.0.0.1", ADDRESS]
    ca.sign("apiserver", "kube-apiserver", client=False, server=here + [
        "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
        "10.96.0.1"])
    ca.sign("apiserver-kubelet-client", "kube-apiserver-kubelet-client", ["system:masters"])
    pki.Authority(place, "front-proxy-ca", "front-proxy-ca").sign("front-proxy-client", "front-proxy-client")
    etcd = pki.Authority(place / "etcd", "ca", "etcd-ca")
    for name in ("server", "peer"):
        etcd.sign(name, NODE, server=here)
    etcd.sign("healthcheck-client", "kube-etcd-healthcheck-client", ["system:masters"])
    for made in etcd.sign("apiserver-etcd-client", "kube-apiserver-etcd-client", ["system:masters"]):
        made.rename(place / made.name)
    pki.rsa_key(place / "sa.key")
    config.run(["openssl", "rsa", "-in", place / "sa.key", "-pubout", "-out", place / "sa.pub"], quiet=True)

    conf = root / "etc" / "kubernetes"
    for name, user, groups in (("admin", "kubernetes-admin", ["system:masters"]),
                               ("controller-manager", "system:kube-controller-manager", []),
                               ("scheduler", "system:kube-scheduler", [])):
        crt, key_ = ca.sign(name, user, groups)
        pki.inline_config(conf / (name + ".conf"), ca.crt, SERVER, user, crt, key_)
        crt.unlink()
        key_.unlink()
    crt, key_ = ca.sign("kubelet", "system:node:" + NODE, ["system:nodes"], ec=True)
    own = root / "var" / "lib" / "kubelet" / "pki"
    own.mkdir(parents=True)
    pem = own / "kubelet-client-2021-01-14-09-00-00.pem"
    pem.write_bytes(crt.read_bytes() + key_.read_bytes())
    pem.chmod(0o600)
    crt.unlink()
    key_.unlink()
    current = own / "kubelet-client-current.pem"
    current.symlink_to("/var/lib/kubelet/pki/" + pem.name)
    pki.joined_config(conf / "kubelet.conf", ca.crt, SERVER, "/var/lib/kubelet/pki/" + current.name)


# -- static pods ----------------------------------------------------------------------------------

def _probe(kind, path, port, scheme, host, failures, period=10, delay=10):
    return """    %s:
      failureThreshold: %d
      httpGet:
        host: %s
        path: %s
        port: %d
        scheme: %s
      initialDelaySeconds: %d
      periodSeconds: %d
      timeoutSeconds: 15
""" % (kind, failures, host, path, port, scheme, delay, period)


def _pod(component, flags, cpu, probes, mounts, notes=()):
    """mounts: name, path, kind (as hostPath has it), read-only."""
    annotations = "  annotations:\n" + "".join("    %s: %s\n" % note for note in notes) if notes else ""
    mounted = "".join("    - mountPath: %s\n      name: %s\n%s" % (
        path, name, "      readOnly: true\n" if read_only else "") for name, path, _, read_only in mounts)
    volumes = "".join("  - hostPath:\n      path: %s\n      type: %s\n    name: %s\n" % (path, kind, name)
                      for name, path, kind, _ in mounts)
    return """apiVersion: v1
kind: Pod
metadata:
%s  creationTimestamp: null
  labels:
    component: %s
    tier: control-plane
  name: %s
  namespace: kube-system
spec:
  containers:
  - command:
    - %s
%s    image: %s
    imagePullPolicy: IfNotPresent
%s    name: %s
    resources:
      requests:
        cpu: %s
    volumeMounts:
%s  hostNetwork: true
  priorityClassName: system-node-critical
  volumes:
%sstatus: {}
""" % (annotations, component, component, component, "".join("    - --%s\n" % f for f in flags), image(component),
       "".join(probes), component, cpu, mounted, volumes)


def _pods():
    def of_etcd(name):
        return "%s/etcd/%s" % (PKI, name)
    certs = ("k8s-certs", PKI, "DirectoryOrCreate", True)
    ca_certs = ("ca-certs", "/etc/ssl/certs", "DirectoryOrCreate", True)
    client, peer = "https://%s:2379" % ADDRESS, "https://%s:2380" % ADDRESS
    etcd = _pod("etcd", [
        "advertise-client-urls=" + client, "cert-file=" + of_etcd("server.crt"), "client-cert-auth=true",
        "data-dir=/var/lib/etcd", "initial-advertise-peer-urls=" + peer, "initial-cluster=%s=%s" % (NODE, peer),
        "key-file=" + of_etcd("server.key"), "listen-client-urls=https://127.0.0.1:2379," + client,
        "listen-metrics-urls=http://127.0.0.1:2381", "listen-peer-urls=" + peer, "name=" + NODE,
        "peer-cert-file=" + of_etcd("peer.crt"), "peer-client-cert-auth=true", "peer-key-file=" + of_etcd("peer.key"),
        "peer-trusted-ca-file=" + of_etcd("ca.crt"), "snapshot-count=10000", "trusted-ca-file=" + of_etcd("ca.crt")],
        "100m", [_probe("livenessProbe", "/health", 2381, "HTTP", "127.0.0.1", 8),
                 _probe("startupProbe", "/health", 2381, "HTTP", "127.0.0.1", STARTUP)],
        [("etcd-data", "/var/lib/etcd", "DirectoryOrCreate", False),
         ("etcd-certs", PKI + "/etcd", "DirectoryOrCreate", False)],
        [("kubeadm.kubernetes.io/etcd.advertise-client-urls", client)])
    api = _pod("kube-apiserver", [
        "advertise-address=" + ADDRESS, "allow-privileged=true", "authorization-mode=Node,RBAC",
        "client-ca-file=%s/ca.crt" % PKI, "enable-admission-plugins=NodeRestriction", "enable-bootstrap-token-auth=true",
        "etcd-cafile=" + of_etcd("ca.crt"), "etcd-certfile=%s/apiserver-etcd-client.crt" % PKI,
        "etcd-keyfile=%s/apiserver-etcd-client.key" % PKI, "etcd-servers=https://127.0.0.1:2379", "insecure-port=0",
        "kubelet-client-certificate=%s/apiserver-kubelet-client.crt" % PKI,
        "kubelet-client-key=%s/apiserver-kubelet-client.key" % PKI,
        "kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname",
        "proxy-client-cert-file=%s/front-proxy-client.crt" % PKI, "proxy-client-key-file=%s/front-proxy-client.key" % PKI,
        "requestheader-allowed-names=front-proxy-client", "requestheader-client-ca-file=%s/front-proxy-ca.crt" % PKI,
        "requestheader-extra-headers-prefix=X-Remote-Extra-", "requestheader-group-headers=X-Remote-Group",
        "requestheader-username-headers=X-Remote-User", "secure-port=6443",
        "service-account-issuer=https://kubernetes.default.svc.cluster.local", "service-account-key-file=%s/sa.pub" % PKI,
        "service-account-signing-key-file=%s/sa.key" % PKI, "service-cluster-ip-range=10.96.0.0/12",
        "tls-cert-file=%s/apiserver.crt" % PKI, "tls-private-key-file=%s/apiserver.key" % PKI],
        "250m", [_probe("livenessProbe", "/livez", 6443, "HTTPS", ADDRESS, 8),
                 _probe("readinessProbe", "/readyz", 6443, "HTTPS", ADDRESS, 3, period=1, delay=0),
                 _probe("startupProbe", "/livez", 6443, "HTTPS", ADDRESS, STARTUP)],
        [ca_certs, certs],
        [("kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint", ADDRESS + ":6443")])

    def own(conf):
        return ["%s=/etc/kubernetes/%s" % (flag, conf) for flag in (
            "authentication-kubeconfig", "authorization-kubeconfig", "kubeconfig")]

    def probes(port):
        return [_probe("livenessProbe", "/healthz", port, "HTTPS", "127.0.0.1", 8),
                _probe("startupProbe", "/healthz", port, "HTTPS", "127.0.0.1", STARTUP)]
    conf = "controller-manager.conf"
    controllers = _pod("kube-controller-manager", own(conf) + [
        "bind-address=127.0.0.1", "client-ca-file=%s/ca.crt" % PKI, "cluster-name=kubernetes",
        "cluster-signing-cert-file=%s/ca.crt" % PKI, "cluster-signing-key-file=%s/ca.key" % PKI,
        "controllers=*,bootstrapsigner,tokencleaner", "leader-elect=true", "port=0",
        "requestheader-client-ca-file=%s/front-proxy-ca.crt" % PKI, "root-ca-file=%s/ca.crt" % PKI,
        "service-account-private-key-file=%s/sa.key" % PKI, "use-service-account-credentials=true"],
        "200m", probes(10257), [ca_certs, certs, ("kubeconfig", "/etc/kubernetes/" + conf, "FileOrCreate", True)])
    conf = "scheduler.conf"
    scheduler = _pod("kube-scheduler", own(conf) + ["bind-address=127.0.0.1", "leader-elect=true", "port=0"],
                     "100m", probes(10259), [("kubeconfig", "/etc/kubernetes/" + conf, "FileOrCreate", True)])
    return {"etcd": etcd, "kube-apiserver": api, "kube-controller-manager": controllers, "kube-scheduler": scheduler}


# -- what is noted in the cluster -----------------------------------------------------------------

CLUSTER = """apiVersion: v1
kind: ConfigMap
metadata:
  name: kubeadm-config
  namespace: kube-system
data:
  ClusterConfiguration: |
    apiServer:
      extraArgs:
        authorization-mode: Node,RBAC
      timeoutForControlPlane: 4m0s
    apiVersion: kubeadm.k8s.io/v1beta2
    certificatesDir: %(pki)s
    clusterName: kubernetes
    controllerManager: {}
    dns:
      type: CoreDNS
    etcd:
      local:
        dataDir: /var/lib/etcd
    imageRepository: castoff.test
    kind: ClusterConfiguration
    kubernetesVersion: v%(version)s
    networking:
      dnsDomain: cluster.local
      serviceSubnet: 10.96.0.0/12
    scheduler: {}
  ClusterStatus: |
    apiEndpoints:
      %(node)s:
        advertiseAddress: %(address)s
        bindPort: 6443
    apiVersion: kubeadm.k8s.io/v1beta2
    kind: ClusterStatus
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: kubelet-config-%(minor)s
  namespace: kube-system
data:
  kubelet: |
%(kubelet)s
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: kubeadm:kubelet-config-%(minor)s
  namespace: kube-system
rules:
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [kubelet-config-%(minor)s]
  verbs: [get]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: kubeadm:kubelet-config-%(minor)s
  namespace: kube-system
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: kubeadm:kubelet-config-%(minor)s
subjects:
- kind: Group
  name: system:nodes
- kind: Group
  name: system:bootstrappers:kubeadm:default-node-token
---
# Not kubeadm's: a pod that kubelet knows from this API server only.
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: kube-system}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      hostNetwork: true
      terminationGracePeriodSeconds: 2
      tolerations: [{operator: Exists}]
      containers:
      - name: agent
        image: castoff.test/web:1
        imagePullPolicy: IfNotPresent
        command: ["/bin/busybox", "httpd", "-f", "-p", "8083", "-h", "/www"]
"""


def _cluster(kubelet_config):
    return CLUSTER % {
        "pki": PKI, "version": kubelet.VERSION, "minor": ".".join(kubelet.VERSION.split(".")[:2]), "node": NODE,
        "address": ADDRESS, "kubelet": "\n".join("    " + line for line in kubelet_config.splitlines())}
