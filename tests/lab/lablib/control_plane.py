"""A real control plane of Kubernetes 1.20.2 on the host's loopback, for tests of what talks to an API server:
etcd, kube-apiserver, kube-controller-manager and kube-scheduler as plain processes. Nodes in it are objects
that a test makes; `kubelet-stand-in` does the little that their kubelets would do."""
import http.client
import json
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from . import config, kubeapi, kubelet, node, pki
from .config import CACHE, LabError, say

# -- building -------------------------------------------------------------------------------------

COMMANDS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
ETCD = ("etcd", "etcdctl")

# Upstream's Makefile finds the packages for the generator with this tag, below these folders, without those.
OPENAPI_TAG = "+k8s:openapi-gen=true"
OPENAPI_ROOTS = ("pkg", "cmd", "plugin", "staging/src")
OPENAPI_NOT = ("/_examples/", "/code-generator/", "/sample-apiserver/")

# The tree is older than Debian's Go: from Go 1.18 on reflect.mapiterinit wants to be given the iterator and
# returns none. The library that calls it behind the compiler's back passes garbage then, and the API server
# dies of it when it writes indented JSON, as it does for curl. File, what is there exactly once, what must be.
REFLECT2 = "vendor/github.com/modern-go/reflect2/"
REPAIR = [
    [REFLECT2 + "unsafe_link.go", "func mapiterinit(rtype unsafe.Pointer, m unsafe.Pointer) *hiter\n",
     "func mapiterinit(rtype unsafe.Pointer, m unsafe.Pointer, it *hiter)\n"],
    [REFLECT2 + "unsafe_link.go", "\t// rest fields are ignored\n",
     # Room for what the runtime keeps behind the two, with its pointers where the collector sees them.
     "\tpointers [6]unsafe.Pointer\n\tstart uintptr\n\tsmall [4]uint8\n\tbucket, check uintptr\n"],
    [REFLECT2 + "unsafe_map.go", "mapiterinit(type2.rtype, *(*unsafe.Pointer)(obj)),\n",
     "iterate(type2.rtype, *(*unsafe.Pointer)(obj)),\n"],
    [REFLECT2 + "unsafe_map.go", "type UnsafeMapIterator struct {\n",
     "func iterate(rtype unsafe.Pointer, m unsafe.Pointer) *hiter {\n\tit := new(hiter)\n"
     "\tmapiterinit(rtype, m, it)\n\treturn it\n}\n\ntype UnsafeMapIterator struct {\n"],
]


def key():
    return config.sha(kubelet.ORIG_SHA256, json.dumps(REPAIR), "control-plane-cgo0-stripped-openapi-1")


def folder():
    """Beside the kubelet's folder, under a key of its own: neither is rebuilt because of the other."""
    return CACHE / "kube" / ("control-plane-%s-%s" % (kubelet.VERSION, key()))


def binaries():
    if not (folder() / "done").exists():
        build()
    return folder()


def build():
    out = folder()
    with config.locked("control-plane"):
        if (out / "done").exists():
            return out
        config.need_root()
        config.deps()
        for old in out.parent.glob("control-plane-*"):
            shutil.rmtree(old)
        out.mkdir(parents=True)
        began = time.monotonic()
        work = out / "work"
        work.mkdir()
        _etcd(work, out)
        tree = kubelet.unpack(work)
        _repair(tree)
        env = kubelet.go_env(work)
        with open(out / "build.log", "ab") as log:
            _openapi(work, tree, env, log)
            say("building %s (about 6 CPU minutes; log: %s)" % (" ".join(COMMANDS), out / "build.log"))
            # One call for all four: most of their packages are the same.
            config.run(["nice", "-n", "5", "go", "build", "-ldflags",
                        kubelet.go_flags("component-base/version", "client-go/pkg/version"),
                        "-o", str(work / "bin") + "/"] + ["k8s.io/kubernetes/cmd/" + c for c in COMMANDS],
                       log=log, env=env, cwd=str(tree))
        for c in COMMANDS:
            made = work / "bin" / c
            got = config.output([made, "version", "--client"] if c == "kubectl" else [made, "--version"])
            if kubelet.VERSION not in got:
                raise LabError("the built %s calls itself %r" % (c, got))
            made.rename(out / c)
        config.run(["chmod", "-R", "u+w", work], check=False)
        shutil.rmtree(work, ignore_errors=True)
        (out / "done").write_text("%.0f\n" % (time.monotonic() - began))
        say("control plane built in %.0f s" % (time.monotonic() - began))
    return out


def _etcd(work, out):
    """Debian's etcd, unpacked and not installed: on the host its package would start a service."""
    say("fetching Debian's etcd")
    apt = work / "apt"
    for d in ("lists/partial", "archives/partial", "debs"):
        (apt / d).mkdir(parents=True)
    (apt / "sources.list").write_text("deb [signed-by=%s] %s %s main\n" % (
        config.KEYRING, config.archive(), kubelet.SUITE))
    opts = ["-o", "Dir::Etc::SourceList=%s" % (apt / "sources.list"), "-o", "Dir::Etc::SourceParts=/dev/null",
            "-o", "Dir::State::Lists=%s" % (apt / "lists"), "-o", "Dir::Cache=%s" % apt,
            "-o", "APT::Sandbox::User=root", "-o", "Acquire::Languages=none"]
    config.run(["apt-get"] + opts + ["update"], quiet=True)
    config.run(["apt-get"] + opts + ["download", "etcd-server", "etcd-client"], quiet=True, cwd=str(apt / "debs"))
    for deb in sorted((apt / "debs").glob("*.deb")):
        config.run(["dpkg-deb", "-x", deb, apt / "root"])
    for c in ETCD:
        shutil.copy2(apt / "root" / "usr" / "bin" / c, out / c)
    (out / "etcd-version").write_text(config.output([out / "etcd", "--version"]).splitlines()[0] + "\n")


def _repair(tree):
    for name, old, new in REPAIR:
        text = (tree / name).read_text()
        if text.count(old) != 1:
            raise LabError("%s is not what its repair was written for" % name)
        (tree / name).write_text(text.replace(old, new))


def _openapi(work, tree, env, log):
    """kube-apiserver needs one file that is not in the source: the descriptions of its own types. It is made
    as upstream's `make generated_files` does, by the generator in the tree."""
    say("generating the API server's descriptions of its types")
    generator = work / "openapi-gen"
    config.run(["nice", "-n", "5", "go", "build", "-o", generator, "./vendor/k8s.io/kube-openapi/cmd/openapi-gen"],
               log=log, env=env, cwd=str(tree))
    packages = set()
    for root in OPENAPI_ROOTS:
        for path in (tree / root).rglob("*.go"):
            name = str(path.relative_to(tree))
            if name.endswith("_test.go") or any(part in "/" + name for part in OPENAPI_NOT):
                continue
            text = path.read_text(errors="replace")
            if OPENAPI_TAG in text and any(line[:2] == "//" and line[2:].lstrip(" ").startswith(OPENAPI_TAG)
                                           for line in text.splitlines()):
                packages.add("k8s.io/kubernetes/" + str(Path(name).parent).replace("staging/src/", "vendor/"))
    report = work / "violations"
    config.run(["nice", "-n", "5", generator, "--logtostderr", "-i", ",".join(sorted(packages)),
                "-p", "k8s.io/kubernetes/pkg/generated/openapi", "-O", "zz_generated.openapi",
                "-h", "hack/boilerplate/boilerplate.generatego.txt", "-r", report],
               log=log, env=env, cwd=str(tree))
    if report.read_bytes() != (tree / "api" / "api-rules" / "violation_exceptions.list").read_bytes():
        raise LabError("openapi-gen was not given the same packages as upstream gives it (%s)" % report)


# -- running --------------------------------------------------------------------------------------

API = "kube-apiserver"
STATE = "control-plane.json"
DEADLINE = 300


class ControlPlane:
    """RUN/NAME: control-plane.json, pki/, users/USER/, etcd/, logs/, and processes/ with one file each."""

    def __init__(self, place, state):
        self.dir = Path(place)
        self.state = state

    @property
    def name(self):
        return self.dir.name

    @property
    def server(self):
        return "https://127.0.0.1:%d" % self.state["ports"]["api"]

    @property
    def pki(self):
        return self.dir / "pki"

    # -- processes ----------------------------------------------------------------------------

    @property
    def marker(self):
        """Part of the command line of each of our processes, and of nobody else's."""
        return str(self.dir) + "/"

    def pid(self, process):
        try:
            return int((self.dir / "processes" / process).read_text())
        except (OSError, ValueError):
            return None

    def alive(self, process):
        return node.alive(self.pid(process), self.marker)

    def processes(self):
        return sorted(p.name for p in (self.dir / "processes").iterdir()) if self.dir.exists() else []

    def spawn(self, process, command):
        """Detached from this process, but not from its owner: see node.Node.spawn."""
        for d in ("logs", "processes"):
            (self.dir / d).mkdir(exist_ok=True)
        with open(self.dir / "logs" / (process + ".log"), "ab") as log:
            child = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                     start_new_session=True, cwd=str(self.dir))
        node.wait_named(child, self.marker)
        (self.dir / "processes" / process).write_text("%d\n" % child.pid)
        owner = os.environ.get("CASTOFF_LAB_OWNER")
        if owner:
            subprocess.Popen(
                ["sh", "-c", 'while kill -0 "$1" 2>/dev/null && kill -0 "$2" 2>/dev/null; do sleep 2; done; '
                 'grep -qF -- "$3" "/proc/$2/cmdline" 2>/dev/null && kill -9 "$2"',
                 "castoff-lab-minder", owner, str(child.pid), self.marker],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                start_new_session=True)

    def stop(self, process):
        """With -9: no graceful end, which an API server with open watches draws out for a minute, and a
        stopped process (`pause`) ends too. etcd keeps what was acknowledged."""
        node.kill(self.pid(process), self.marker)
        (self.dir / "processes" / process).unlink(missing_ok=True)

    def down(self):
        # Those that would complain about a missing API server first.
        last = ["kube-controller-manager", "kube-scheduler", API, "etcd"]
        for process in sorted(self.processes(), key=lambda p: last.index(p) if p in last else -1):
            self.stop(process)
        shutil.rmtree(self.dir, ignore_errors=True)

    def keep_logs(self, place):
        try:
            shutil.copytree(self.dir / "logs", place, dirs_exist_ok=True)
        except OSError as e:
            say("%s: no logs: %s" % (self.name, e))

    def wait(self, what, probe, process, pause=0.1):
        try:
            config.wait_for("%s: %s" % (self.name, what), DEADLINE, probe, pause=pause,
                            alive=lambda: self.alive(process))
        except LabError as e:
            log = self.dir / "logs" / (process + ".log")
            raise LabError("%s\n--- %s\n%s" % (e, process, "\n".join(
                log.read_text(errors="replace").splitlines()[-25:]))) from None

    # -- users --------------------------------------------------------------------------------

    def user_dir(self, user):
        return self.dir / "users" / user

    def api(self, user="admin", timeout=30):
        if user == "anonymous":
            return kubeapi.Api(self.server, self.pki / "ca.crt", None, None, timeout)
        place = self.user_dir(user)
        if not place.is_dir():
            raise LabError("%s knows no user %r (lab control-plane user)" % (self.name, user))
        return kubeapi.Api(self.server, self.pki / "ca.crt", place / "user.crt", place / "user.key", timeout)

    def make_user(self, user, common_name, groups=()):
        """A client certificate and its kubeconfig. Returns the kubeconfig's path."""
        place = self.user_dir(user)
        if "/" in user or user.startswith(".") or user == "anonymous" or place.exists():
            raise LabError("cannot make a user %r" % user)
        place.mkdir(parents=True)
        ca = pki.Authority(self.pki, "ca", "kubernetes")
        is_node = common_name.startswith("system:node:")
        crt, key_ = ca.sign("user-" + user, common_name, groups, ec=is_node)
        crt = crt.rename(place / "user.crt")
        key_ = key_.rename(place / "user.key")
        inline = pki.inline_config(place / "inline.conf", ca.crt, self.server, common_name, crt, key_)
        if not is_node:
            return inline
        # As on a node: kubelet keeps certificate and key in one file and a link to the newest.
        pem = place / "kubelet-client-2021-01-14-09-00-00.pem"
        pem.write_bytes(crt.read_bytes() + key_.read_bytes())
        pem.chmod(0o600)
        current = place / "kubelet-client-current.pem"
        current.symlink_to(pem)
        return pki.joined_config(place / "kubelet.conf", ca.crt, self.server, current)

    def make_node_user(self, name):
        return self.make_user(name, "system:node:" + name, ["system:nodes"])

    # -- the four processes -------------------------------------------------------------------

    def start_etcd(self):
        p, ports = self.pki, self.state["ports"]
        client, peer = ("https://127.0.0.1:%d" % ports[k] for k in ("etcd", "etcd-peer"))
        self.spawn("etcd", [
            folder() / "etcd", "--name=" + self.name, "--data-dir=%s" % (self.dir / "etcd"),
            "--listen-client-urls=" + client, "--advertise-client-urls=" + client,
            "--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer,
            "--initial-cluster=%s=%s" % (self.name, peer),
            "--cert-file=%s" % (p / "etcd-server.crt"), "--key-file=%s" % (p / "etcd-server.key"),
            "--peer-cert-file=%s" % (p / "etcd-server.crt"), "--peer-key-file=%s" % (p / "etcd-server.key"),
            "--client-cert-auth=true", "--trusted-ca-file=%s" % (p / "etcd-ca.crt"),
            "--peer-client-cert-auth=true", "--peer-trusted-ca-file=%s" % (p / "etcd-ca.crt")])

    def start_api(self):
        if self.alive(API):
            raise LabError("%s: its API server runs already" % self.name)
        p, ports = self.pki, self.state["ports"]
        self.spawn(API, [
            folder() / API, "--bind-address=127.0.0.1", "--secure-port=%d" % ports["api"],
            "--etcd-servers=https://127.0.0.1:%d" % ports["etcd"],
            "--etcd-cafile=%s" % (p / "etcd-ca.crt"), "--etcd-certfile=%s" % (p / "etcd-client.crt"),
            "--etcd-keyfile=%s" % (p / "etcd-client.key"),
            "--client-ca-file=%s" % (p / "ca.crt"),
            "--tls-cert-file=%s" % (p / "apiserver.crt"), "--tls-private-key-file=%s" % (p / "apiserver.key"),
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            "--service-account-key-file=%s" % (p / "sa.pub"),
            "--service-account-signing-key-file=%s" % (p / "sa.key"),
            "--requestheader-client-ca-file=%s" % (p / "front-proxy-ca.crt"),
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--proxy-client-cert-file=%s" % (p / "front-proxy-client.crt"),
            "--proxy-client-key-file=%s" % (p / "front-proxy-client.key"),
            "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
            "--enable-bootstrap-token-auth=true", "--allow-privileged=true",
            "--service-cluster-ip-range=10.96.0.0/16",
            # The address of the service `kubernetes`. It may not be on the loopback, and nobody uses it
            # here, so it is one that belongs to nobody: the host need not have any other.
            "--advertise-address=192.0.2.1", "--endpoint-reconciler-type=none"])
        self.wait_api()

    def healthy(self):
        try:
            return self.api(timeout=5).request("GET", "/readyz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def wait_api(self):
        self.wait("the API server is ready", self.healthy, API)

    def start_controllers(self):
        ports, conf = self.state["ports"], {}
        for process in ("kube-controller-manager", "kube-scheduler"):
            conf[process] = self.user_dir(process) / "inline.conf"
        common = ["--bind-address=127.0.0.1", "--port=0", "--leader-elect=false"]
        p = self.pki

        def own(process):
            return ["--%s=%s" % (flag, conf[process]) for flag in (
                "kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")]
        process = "kube-controller-manager"
        self.spawn(process, [folder() / process, "--secure-port=%d" % ports["controllers"]] + common
                   + own(process) + [
            "--controllers=*,bootstrapsigner,tokencleaner", "--use-service-account-credentials=true",
            "--root-ca-file=%s" % (p / "ca.crt"), "--service-account-private-key-file=%s" % (p / "sa.key"),
            "--cluster-signing-cert-file=%s" % (p / "ca.crt"), "--cluster-signing-key-file=%s" % (p / "ca.key"),
            "--cluster-name=kubernetes"])
        process = "kube-scheduler"
        self.spawn(process, [folder() / process, "--secure-port=%d" % ports["scheduler"]] + common + own(process))

    def settled(self):
        """Pods can be made: their service account is there, which the controllers make."""
        return self.api(timeout=5).request("GET", "/api/v1/namespaces/default/serviceaccounts/default")[0] == 200

    def port_answers(self, port):
        try:
            socket.create_connection(("127.0.0.1", self.state["ports"][port]), timeout=5).close()
            return True
        except OSError:
            return False

    # -- tests use this -----------------------------------------------------------------------

    def env(self):
        def first_node(name):
            return str(self.user_dir("n1") / name)
        return {
            "CP_NAME": self.name, "CP_DIR": str(self.dir), "CP_SERVER": self.server,
            "CP_CA": str(self.pki / "ca.crt"),
            "CP_KUBECTL": str(folder() / "kubectl"), "CP_ETCDCTL": str(folder() / "etcdctl"),
            "CP_ADMIN_CONF": str(self.user_dir("admin") / "inline.conf"),
            "CP_KUBELET_CONF": first_node("kubelet.conf"),
            "CP_KUBELET_INLINE_CONF": first_node("inline.conf"),
            "CP_KUBELET_PEM": first_node("kubelet-client-current.pem"),
            "CP_API_PID": str(self.pid(API) or "")}


def free_ports(names):
    """Below the ports the kernel gives to outgoing connections, so that a stopped API server finds its own
    port free when it starts again."""
    found = {}
    while len(found) < len(names):
        port = random.randrange(20000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found.values():
            found[names[len(found)]] = port
    return found


def up(name):
    place = config.RUN / name
    if "/" in name or name.startswith("."):
        raise LabError("not a name for a control plane: %r" % name)
    if (place / STATE).exists():
        old = find(name)
        if any(old.alive(p) for p in old.processes()):
            raise LabError("control plane %s runs already (lab control-plane down %s)" % (name, name))
        say("control plane %s: removing what a dead one left" % name)
        old.down()
    if place.exists():
        raise LabError("%s is in the way (a node of that name?)" % place)
    binaries()
    began = time.monotonic()
    place.mkdir(parents=True, mode=0o700)
    cp = ControlPlane(place, {"ports": free_ports(["api", "etcd", "etcd-peer", "controllers", "scheduler"])})
    (place / STATE).write_text(json.dumps(cp.state) + "\n")
    try:
        _certificates(cp)
        cp.start_etcd()
        cp.wait("etcd answers", lambda: cp.port_answers("etcd"), "etcd")
        cp.start_api()
        cp.start_controllers()
        cp.wait("the scheduler answers", lambda: cp.port_answers("scheduler"), "kube-scheduler")
        cp.wait("pods can be made", cp.settled, "kube-controller-manager")
    except BaseException:
        if not os.environ.get("CASTOFF_LAB_KEEP"):
            cp.down()
        raise
    say("control plane %s: up in %.1f s, %s" % (name, time.monotonic() - began, cp.server))
    return cp


def _certificates(cp):
    cp.pki.mkdir()
    ca = pki.Authority(cp.pki, "ca", "kubernetes")
    here = ["127.0.0.1", "localhost"]
    ca.sign("apiserver", "kube-apiserver", server=here + ["kubernetes", "kubernetes.default", "10.96.0.1"],
            client=False)
    etcd = pki.Authority(cp.pki, "etcd-ca", "etcd-ca")
    etcd.sign("etcd-server", "localhost", server=here)
    etcd.sign("etcd-client", "kube-apiserver-etcd-client", ["system:masters"])
    # Nothing is proxied here, but without it the other two complain all the time.
    pki.Authority(cp.pki, "front-proxy-ca", "front-proxy-ca").sign("front-proxy-client", "front-proxy-client")
    pki.rsa_key(cp.pki / "sa.key")
    config.run(["openssl", "rsa", "-in", cp.pki / "sa.key", "-pubout", "-out", cp.pki / "sa.pub"], quiet=True)
    cp.make_user("admin", "kubernetes-admin", ["system:masters"])
    for process in ("kube-controller-manager", "kube-scheduler"):
        cp.make_user(process, "system:" + process)
    cp.make_node_user("n1")


def find(name):
    path = config.RUN / name / STATE
    if not path.exists():
        raise LabError("no control plane %s (known: %s)" % (name, " ".join(c.name for c in every()) or "none"))
    return ControlPlane(path.parent, json.loads(path.read_text()))


def every(base=None):
    found = []
    for path in sorted((base or config.RUN).glob("*/" + STATE)):
        try:
            found.append(ControlPlane(path.parent, json.loads(path.read_text())))
        except ValueError:
            say("unreadable: %s" % path)
    return found


# -- commands -------------------------------------------------------------------------------------

USAGE = """usage: lab control-plane COMMAND

  build                      build it (about 6 CPU minutes, once) and fetch etcd
  up NAME                    start one; prints what `env` prints
  env NAME                   its files and addresses, as lines for a shell
  down NAME... | --all       end its processes and throw its data away
  list
  log NAME PROCESS
  pause NAME / continue NAME the API server stands still: connections open, nothing answers
  stop-api NAME / start-api NAME
                             connections are refused; it comes back on the same port with the same data
  user NAME USER CN [GROUP...]
                             a client certificate; prints its kubeconfig
  node NAME NODE             the same for a node's kubelet (n1 is there from the start)
  request NAME USER METHOD PATH [BODY|-] [--type TYPE] [--timeout SECONDS]
                             one request to the API; prints the status code, then the body
  stand-in NAME NODE [OPTION...]
                             start a stand-in for the node's kubelet (see tests/lab/kubelet-stand-in)
  stop-stand-in NAME NODE
"""


def main(args):
    if not args:
        raise LabError(USAGE)
    command, args = args[0], args[1:]
    if command == "build":
        print(build())
        return 0
    if command == "list":
        for cp in every():
            print("%-20s %s %s" % (cp.name, cp.server, " ".join(
                p if cp.alive(p) else p + "(dead)" for p in cp.processes())))
        return 0
    if command == "down" and args == ["--all"]:
        args = [cp.name for cp in every()]
    elif not args:
        raise LabError(USAGE)
    if command == "up":
        show(up(args[0]))
        return 0
    if command == "down":
        for name in args:
            cp = find(name)
            if os.environ.get("LAB_RESULTS"):
                # In a scenario: one that it ended itself has logs worth a look, too.
                cp.keep_logs(Path(os.environ["LAB_RESULTS"]) / cp.name)
            cp.down()
        return 0
    cp, args = find(args[0]), args[1:]
    wanted = {"env": (0, 0), "log": (1, 1), "pause": (0, 0), "continue": (0, 0), "stop-api": (0, 0),
              "start-api": (0, 0), "user": (2, 99), "node": (1, 1), "request": (3, 8), "stand-in": (1, 99),
              "stop-stand-in": (1, 1)}
    if command not in wanted or not wanted[command][0] <= len(args) <= wanted[command][1]:
        raise LabError(USAGE)
    if command == "env":
        show(cp)
    elif command == "log":
        sys.stdout.write((cp.dir / "logs" / (args[0] + ".log")).read_text(errors="replace"))
    elif command in ("pause", "continue"):
        if not cp.alive(API):
            raise LabError("%s: its API server does not run" % cp.name)
        os.kill(cp.pid(API), signal.SIGSTOP if command == "pause" else signal.SIGCONT)
        if command == "continue":
            cp.wait_api()
    elif command == "stop-api":
        cp.stop(API)
    elif command == "start-api":
        cp.start_api()
    elif command == "user":
        print(cp.make_user(args[0], args[1], args[2:]))
    elif command == "node":
        print(cp.make_node_user(args[0]))
    elif command == "request":
        return _request(cp, args)
    elif command == "stand-in":
        process = "stand-in-" + args[0]
        if cp.alive(process):
            raise LabError("%s: %s runs already" % (cp.name, process))
        if not cp.user_dir(args[0]).is_dir():
            cp.make_node_user(args[0])
        ready = cp.dir / ("ready-" + args[0])
        ready.unlink(missing_ok=True)
        cp.spawn(process, [sys.executable, config.LAB / "kubelet-stand-in", str(cp.dir) + "/"] + args)
        cp.wait("the stand-in works", ready.exists, process)
    elif command == "stop-stand-in":
        cp.stop("stand-in-" + args[0])
        (cp.dir / ("ready-" + args[0])).unlink(missing_ok=True)
    return 0


def show(cp):
    for k, v in cp.env().items():
        print("export %s=%s" % (k, shlex.quote(v)))


def _request(cp, args):
    options = {"--type": None, "--timeout": "30"}
    for flag in options:
        if flag in args[:-1]:
            i = args.index(flag)
            options[flag] = args[i + 1]
            del args[i:i + 2]
    if not 3 <= len(args) <= 4:
        raise LabError(USAGE)
    user, method, path = args[:3]
    body = args[3] if len(args) > 3 else None
    if body == "-":
        body = sys.stdin.read()
    try:
        api = cp.api(user, timeout=float(options["--timeout"]))
        status, text = api.request(method, path, body, options["--type"])
    except (OSError, http.client.HTTPException) as e:
        raise LabError("%s %s: %s" % (method, path, e)) from None
    print(status)
    print(text.rstrip("\n"))
    return 0
