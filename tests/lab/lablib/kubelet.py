"""Builds kubelet 1.20.2, which has dockershim and uses it by default, from Debian's source package: no
archive the lab may use ships a kubelet binary that still has it."""
import hashlib
import os
import shutil
import subprocess
import time
from pathlib import Path

from . import config
from .config import CACHE, LabError, say

SUITE = "bookworm"
VERSION = "1.20.2"
ORIG = "kubernetes_1.20.5+really1.20.2.orig.tar.gz"
ORIG_SHA256 = "b83c0780efb182d928dc63d46488a847f161f04e40a94b96bf5247dd671ecdfc"

# What is built here out of that tree. The control plane comes out of the same tree, but has a key of its
# own and is built only when asked for: see control_plane.py.
COMMANDS = ("kubelet", "kubeadm", "standin")
DEFAULT = ("kubelet",)

# Ours, built inside that tree for its libraries: it stands in for a kubelet of a release that cannot be built.
STANDIN = config.LAB / "standin"


def key():
    return config.sha(ORIG_SHA256, "gopath-cgo0-stripped-1")


def folder():
    return CACHE / "kube" / ("%s-%s" % (VERSION, key()))


def path(command):
    """Where the cached binary is, or will be."""
    if command == "standin":
        return folder() / ("standin-" + config.sha(STANDIN))
    return folder() / command


def binary(command="kubelet"):
    """Path of the cached binary, building it when it is not there yet."""
    if not path(command).exists():
        build([command])
    return path(command)


def _fetch(work):
    """Fetches the source package with a private apt setup, so that the machine's own apt sources
    stay as they are; apt checks the signatures."""
    uri = config.archive()
    for d in ("lists/partial", "archives/partial", "src"):
        (work / d).mkdir(parents=True, exist_ok=True)
    # apt drops to its own user for downloads and must be able to write below here.
    for d in (work, work / "src"):
        os.chmod(d, 0o755)
    (work / "sources.list").write_text(
        "deb-src [signed-by=%s] %s %s main\n" % (config.KEYRING, uri, SUITE))
    opts = ["-o", "Dir::Etc::SourceList=%s" % (work / "sources.list"),
            "-o", "Dir::Etc::SourceParts=/dev/null",
            "-o", "Dir::State::Lists=%s" % (work / "lists"),
            "-o", "Dir::Cache=%s" % work,
            "-o", "APT::Sandbox::User=root",
            "-o", "Acquire::Languages=none"]
    config.run(["apt-get"] + opts + ["update"], quiet=True)
    config.run(["apt-get"] + opts + ["source", "--download-only", "kubernetes"],
               quiet=True, cwd=str(work / "src"))
    orig = work / "src" / ORIG
    if not orig.exists():
        raise LabError("Debian's %s no longer has %s but %s" % (
            SUITE, ORIG, sorted(p.name for p in (work / "src").iterdir())))
    digest = hashlib.sha256(orig.read_bytes()).hexdigest()
    if digest != ORIG_SHA256:
        raise LabError("%s has sha256 %s, not the known %s" % (ORIG, digest, ORIG_SHA256))
    return orig


def unpack(work):
    """Fetches and unpacks the source where GOPATH mode wants it; returns the tree."""
    say("kubernetes %s: fetching Debian's source package" % VERSION)
    orig = _fetch(work)
    tree = work / "go" / "src" / "k8s.io" / "kubernetes"
    tree.mkdir(parents=True)
    config.run(["tar", "-xf", orig, "--strip-components=1", "-C", tree])
    return tree


def go_env(work):
    return dict(os.environ, GOPATH=str(work / "go"), GOCACHE=str(work / "gocache"),
                GO111MODULE="off", CGO_ENABLED="0", GOFLAGS="", HOME=str(work))


def go_flags(*packages):
    """Without these a binary calls itself v0.0.0 and refuses configs by version."""
    return "-s -w " + " ".join(
        "-X k8s.io/kubernetes/vendor/k8s.io/%s.%s=%s" % (package, k, v)
        for package in packages for k, v in (
            ("gitVersion", "v" + VERSION), ("gitMajor", "1"), ("gitMinor", "20"),
            ("gitTreeState", "archive")))


def build(commands=DEFAULT):
    for c in commands:
        if c not in COMMANDS:
            raise LabError("cannot build %r; known: %s" % (c, " ".join(COMMANDS)))
    with config.locked("kube"):
        todo = [c for c in commands if not path(c).exists()]
        if not todo:
            return
        config.need_root()
        config.deps()
        work = CACHE / "kube" / "work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        began = time.monotonic()
        tree = unpack(work)
        shutil.copytree(STANDIN, tree / "cmd" / "standin")
        flags, env = go_flags("component-base/version"), go_env(work)
        folder().mkdir(parents=True, exist_ok=True)
        log = folder() / "build.log"
        for c in todo:
            say("building %s (kubelet: about 4.5 CPU minutes; log: %s)" % (c, log))
            out = folder() / (c + ".new")
            with open(log, "ab") as f:
                config.run(["nice", "-n", "5", "go", "build", "-ldflags", flags, "-o", out,
                            "k8s.io/kubernetes/cmd/" + c], log=f, env=env, cwd=str(tree))
            got = subprocess.run([str(out), "--version"], stdout=subprocess.PIPE).stdout.decode()
            if c == "kubelet" and VERSION not in got:
                raise LabError("the built %s calls itself %r" % (c, got))
            out.rename(path(c))
            say("%s built in %.0f s" % (c, time.monotonic() - began))
        # 2 GB of sources and object files that nobody needs again.
        config.run(["chmod", "-R", "u+w", work], check=False)
        shutil.rmtree(work, ignore_errors=True)
