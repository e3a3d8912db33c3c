"""Shapes: what a node looks like before a test. A shape is a suite, layers of files and a setup
script; it is brought up once, saved as it runs, and every test starts from that."""
import json
import os
import shutil
import tempfile
import time
import tomllib
from pathlib import Path

from . import config, container, control_plane, images, kubeadm, kubelet, machine, node
from .config import CACHE, SHAPES, LabError, say

TAG = "ready"
KUBELET_CONFIG = "overlay/var/lib/kubelet/config.yaml"
KEYS = {"suite", "kind", "memory", "cmdline", "kubelet", "control-plane", "disks", "layers", "ready_deadline",
        "description"}


class Shape:
    def __init__(self, name):
        self.name = name
        path = SHAPES / name / "shape.toml"
        if not path.exists():
            raise LabError("no shape %r; known: %s" % (name, " ".join(names())))
        spec = tomllib.loads(path.read_text())
        if set(spec) - KEYS:
            raise LabError("%s: unknown keys %s" % (path, sorted(set(spec) - KEYS)))
        self.suite = spec["suite"]
        self.kind = spec.get("kind", "machine")
        self.memory = spec.get("memory", 2048)
        self.cmdline = spec.get("cmdline", "")
        self.kubelet = spec.get("kubelet")
        # A whole control plane, as kubeadm leaves it on its first node.
        self.control_plane = bool(spec.get("control-plane", False))
        # Sizes of more disks, empty at first: /dev/vdb and so on.
        self.disks = spec.get("disks", [])
        self.deadline = spec.get("ready_deadline", 600)
        self.description = spec.get("description", "")
        # Later layers win; the shape's own folder is the last one.
        self.layers = [SHAPES / l for l in spec.get("layers", [])] + [SHAPES / name]
        if self.kubelet not in (None, kubelet.VERSION, "standin"):
            raise LabError("%s: kubelet %r cannot be built, only %s; or standin" % (path, self.kubelet, kubelet.VERSION))
        if self.kind not in ("machine", "container"):
            raise LabError("%s: kind %r" % (path, self.kind))
        if self.disks and self.kind != "machine":
            raise LabError("%s: only a machine has disks" % path)
        if self.kind == "container" and self.suite not in images.CONTAINER_SUITES:
            raise LabError("%s: %s's systemd does not boot on cgroup v1" % (path, self.suite))

    def key(self):
        parts = [images.key(self.suite), machine.HARDWARE, "shape-3"]
        if self.kind == "machine":
            parts.append(machine.qemu_version() + config.ACCEL)
        if self.kubelet:
            parts.append(kubelet.key())
        if self.kubelet == "standin":
            parts.append(config.sha(kubelet.STANDIN))
        if self.control_plane:
            parts.append(kubeadm.key())
        return config.sha(*parts, *self.layers)

    def command(self):
        """Which of the binaries is the node's kubelet."""
        return "standin" if self.kubelet == "standin" else "kubelet"

    def folder(self):
        return CACHE / "shapes" / ("%s-%s" % (self.name, self.key()))

    def plain(self):
        """Nothing but the suite's image: there is no setup that a cold boot would have to do again."""
        return not self.kubelet and not any(
            (layer / part).exists() for layer in self.layers for part in ("overlay", "host.sh", "setup.sh"))

    def script(self, name):
        """The last layer that has such a script gives it."""
        for layer in reversed(self.layers):
            if (layer / name).exists():
                return layer / name
        return None


def names():
    return sorted(p.parent.name for p in SHAPES.glob("*/shape.toml"))


def new_node(shape, name, image, **more):
    state = {"kind": shape.kind, "shape": shape.name, "image": str(image), "suite": shape.suite,
             "memory": shape.memory, "cmdline": shape.cmdline, "disks": len(shape.disks)}
    return node.create(name, dict(state, **more))


def _dress(shape, n):
    """Copies the layers onto a freshly booted node and runs their setup scripts."""
    if shape.kubelet:
        n.put(kubelet.binary(shape.command()), "/usr/bin/kubelet")
    if shape.control_plane:
        own = next(layer / KUBELET_CONFIG for layer in reversed(shape.layers) if (layer / KUBELET_CONFIG).exists())
        with tempfile.TemporaryDirectory(prefix="castoff-lab-") as scratch:
            kubeadm.dress(n, scratch, own.read_text())
    for layer in shape.layers:
        if (layer / "host.sh").exists():
            with tempfile.TemporaryDirectory(prefix="castoff-lab-") as out:
                # What has to be built on the host: everything it leaves in OUT goes onto the node.
                config.run([layer / "host.sh"], quiet=True, env=dict(os.environ, OUT=out))
                n.put(out, "/")
        if (layer / "overlay").is_dir():
            n.put(layer / "overlay", "/")
    for layer in shape.layers:
        if (layer / "setup.sh").exists():
            n.put(layer / "setup.sh", "/run/lab/setup.sh")
            log = n.dir / "setup.log"
            with open(log, "ab") as f:
                code = n.exec(["sh", "/run/lab/setup.sh"], check=False, stdout=f, stderr=f)
            if code != 0:
                raise LabError("%s: %s/setup.sh: exit code %d\n%s" % (
                    shape.name, layer.name, code, "\n".join(log.read_text(errors="replace").splitlines()[-15:])))


def wait_ready(shape, n):
    script = shape.script("ready.sh")
    if script is None:
        return
    n.put(script, "/run/lab/ready.sh")
    log = n.dir / "ready.log"

    def ready():
        with open(log, "wb") as f:
            return n.exec(["sh", "/run/lab/ready.sh"], check=False, stdout=f, stderr=f) == 0
    try:
        config.wait_for("shape %s is ready" % shape.name, shape.deadline, ready, pause=2, alive=n.running)
    except LabError as e:
        raise LabError("%s\n%s" % (e, "\n".join(log.read_text(errors="replace").splitlines()[-25:])))


def base(name, rebuild=False):
    """Folder with the saved shape; brings it up once when it is not there."""
    shape = Shape(name)
    if shape.kind == "container":
        container.need_v1()
    out = shape.folder()
    if (out / "done").exists() and not rebuild:
        return out
    # Before the lock: the image and kubelet builds take locks of their own.
    image = images.image(shape.suite)
    if shape.kubelet:
        kubelet.binary(shape.command())
    if shape.control_plane:
        control_plane.binaries()
    with config.locked("shape-" + name):
        if (out / "done").exists() and not rebuild:
            return out
        for old in (CACHE / "shapes").glob(name + "-*"):
            if len(old.name) == len(name) + 17:
                shutil.rmtree(old)
        _make(shape, image, out)
    return out


def _make(shape, image, out):
    began = time.monotonic()
    say("shape %s: booting a fresh %s node" % (shape.name, shape.suite))
    # It ends with whoever makes it, also in a way that no `finally` sees; unless somebody wants to look at it then.
    maker = {} if os.environ.get("CASTOFF_LAB_KEEP") else {"maker": [os.getpid(), node.began(os.getpid())]}
    n = new_node(shape, "_" + shape.name, image, **maker)
    keep = False
    try:
        if shape.kind == "machine":
            n.overlay(image / "disk.qcow2")
            for disk, size in zip(n.data_disks, shape.disks):
                config.run(["qemu-img", "create", "-q", "-f", "qcow2", disk, size])
        else:
            n.copy_root(image / "rootfs")
        n.start()
        n.wait_ssh()
        ssh = time.monotonic()
        word = n.wait_settled()
        up = time.monotonic()
        say("shape %s: answers after %.0f s, systemd is %s after %.0f s" % (
            shape.name, ssh - began, word, up - began))
        _dress(shape, n)
        wait_ready(shape, n)
        ready = time.monotonic()
        out.mkdir(parents=True)
        if shape.kind == "machine":
            n.save(TAG)
            n.power_off_saved()
            for disk in [n.disk] + n.data_disks:
                disk.rename(out / disk.name)
        else:
            # In order, so that Docker leaves nothing half-way behind.
            n.exec(["systemctl stop kubelet.service 2>/dev/null; docker ps -q | xargs -r docker rm -f; "
                    "systemctl stop docker.socket docker.service containerd.service; sync"])
            n.stop()
            n.root.rename(out / "root")
        (out / "shape.json").write_text(json.dumps({
            "shape": shape.name, "image": str(image), "ssh_s": round(ssh - began),
            "settled_s": round(up - began), "ready_s": round(ready - began)}) + "\n")
        (out / "done").write_text("%.0f\n" % (time.monotonic() - began))
        say("shape %s: saved; ready after %.0f s, all in all %.0f s" % (
            shape.name, ready - began, time.monotonic() - began))
    except (LabError, KeyboardInterrupt):
        shutil.rmtree(out, ignore_errors=True)
        keep = bool(os.environ.get("CASTOFF_LAB_KEEP"))
        if keep:
            say("the node is kept as %s (lab ssh %s)" % (n.name, n.name))
        raise
    finally:
        if not keep:
            n.down()


def up(name, as_name=None, cold=False):
    """A node in this shape. Machines go on from the saved state; cold means a real boot from the
    saved disk instead."""
    shape = Shape(name)
    from_image = cold and shape.plain() and shape.kind == "machine"
    saved = images.image(shape.suite) if from_image else base(name)
    n = new_node(shape, as_name or name, images.folder(shape.suite))
    try:
        if shape.kind == "machine":
            if from_image:
                n.overlay(saved / "disk.qcow2")
            else:
                for disk in [n.disk] + n.data_disks:
                    machine.copy_disk(saved / disk.name, disk)
            n.start(loadvm=None if cold else TAG)
            n.wait_ssh()
            n.set_clock()
        else:
            n.copy_root(saved / "root")
            n.start()
            n.wait_ssh()
            n.wait_settled()
        if cold and shape.kind == "machine":
            n.wait_settled()
        if cold or shape.kind == "container":
            wait_ready(shape, n)
        binary = os.environ.get("CASTOFF_BIN")
        if binary:
            n.put(Path(binary), "/usr/local/bin/castoff")
    except BaseException:
        if not os.environ.get("CASTOFF_LAB_KEEP"):
            say(n.process_log())
            n.down()
        raise
    return n
