"""Certificates and kubeconfig files for a control plane, in kubeadm's shapes, made with openssl."""
import base64
import secrets
from pathlib import Path

from . import config


def _openssl(*args, **kw):
    config.run(["openssl"] + list(args), quiet=True, **kw)


def rsa_key(path):
    """kubeadm's keys are RSA, in the older PEM form (BEGIN RSA PRIVATE KEY)."""
    _openssl("genrsa", "-traditional", "-out", path, "2048")
    path.chmod(0o600)


def ec_key(path):
    """kubelet makes its own key as an EC key (BEGIN EC PRIVATE KEY)."""
    _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path)
    path.chmod(0o600)


class Authority:
    """A certificate authority: NAME.crt and NAME.key in a folder."""

    def __init__(self, folder, name, common_name):
        self.dir = Path(folder)
        self.crt = self.dir / (name + ".crt")
        self.key = self.dir / (name + ".key")
        if not self.crt.exists():
            rsa_key(self.key)
            cnf = self._config(name, "basicConstraints = critical, CA:TRUE",
                               "keyUsage = critical, digitalSignature, keyEncipherment, keyCertSign",
                               "subjectKeyIdentifier = hash")
            _openssl("req", "-x509", "-new", "-sha256", "-days", "3650", "-key", self.key, "-out", self.crt,
                     "-subj", "/CN=" + common_name, "-config", cnf)
            cnf.unlink()

    def _config(self, stem, *extensions):
        """The host's own openssl.cnf may hold anything; this one holds what we mean and nothing else."""
        cnf = self.dir / (stem + ".cnf")
        cnf.write_text("[req]\nprompt = no\ndistinguished_name = dn\nx509_extensions = ext\n[dn]\n[ext]\n%s\n"
                       % "\n".join(extensions))
        return cnf

    def sign(self, stem, user, groups=(), server=(), client=True, ec=False):
        """STEM.crt and STEM.key. `server` lists the names and addresses a serving certificate is for."""
        crt, key = self.dir / (stem + ".crt"), self.dir / (stem + ".key")
        csr = self.dir / (stem + ".csr")
        (ec_key if ec else rsa_key)(key)
        usages = (["serverAuth"] if server else []) + (["clientAuth"] if client else [])
        extensions = ["basicConstraints = critical, CA:FALSE",
                      "keyUsage = critical, digitalSignature, keyEncipherment",
                      "extendedKeyUsage = " + ", ".join(usages),
                      "authorityKeyIdentifier = keyid"]
        if server:
            extensions.append("subjectAltName = " + ", ".join(
                ("IP:" if name.replace(".", "").isdigit() else "DNS:") + name for name in server))
        subject = "".join("/O=" + g for g in groups) + "/CN=" + user
        cnf = self._config(stem, *extensions)
        _openssl("req", "-new", "-sha256", "-key", key, "-out", csr, "-subj", subject, "-config", cnf)
        _openssl("x509", "-req", "-sha256", "-days", "365", "-in", csr, "-CA", self.crt, "-CAkey", self.key,
                 "-set_serial", "0x1" + secrets.token_hex(7), "-extfile", cnf, "-extensions", "ext",
                 "-out", crt)
        csr.unlink()
        cnf.unlink()
        return crt, key


def data(path):
    return base64.b64encode(Path(path).read_bytes()).decode()


CONFIG = """apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: %(ca)s
    server: %(server)s
  name: %(cluster)s
contexts:
- context:
    cluster: %(cluster)s
%(namespace)s    user: %(user)s
  name: %(context)s
current-context: %(context)s
kind: Config
preferences: {}
users:
- name: %(user)s
  user:
    client-certificate%(credentials)s
"""


def _write(path, text):
    path.write_text(text)
    path.chmod(0o600)
    return path


def inline_config(path, ca, server, user, crt, key):
    """The shape of admin.conf, and of kubelet.conf on a node that `kubeadm init` made: all inside."""
    return _write(path, CONFIG % {
        "ca": data(ca), "server": server, "cluster": "kubernetes", "namespace": "", "user": user,
        "context": user + "@kubernetes",
        "credentials": "-data: %s\n    client-key-data: %s" % (data(crt), data(key))})


def joined_config(path, ca, server, pem):
    """The shape of kubelet.conf on a node that joined: certificate and key in one file that kubelet renews."""
    return _write(path, CONFIG % {
        "ca": data(ca), "server": server, "cluster": "default-cluster",
        "namespace": "    namespace: default\n", "user": "default-auth", "context": "default-context",
        "credentials": ": %s\n    client-key: %s" % (pem, pem)})
