"""Node images: a Debian root file system per suite, as a bootable disk and (for the suites whose
systemd still boots on cgroup v1) as a folder for containers."""
import json
import os
import shlex
import shutil
import time
from pathlib import Path

from . import config
from .config import CACHE, LabError, say

# What every node has. apparmor: dockerd fails without apparmor_parser on a kernel with AppArmor.
PACKAGES = """systemd systemd-sysv dbus udev docker.io containerd runc containernetworking-plugins iptables
apparmor openssh-server linux-image-cloud-amd64 initramfs-tools kmod iproute2 procps ca-certificates
busybox-static curl e2fsprogs util-linux tar gzip zstd less""".split()

# Taken where the suite has them, and reported loudly where it has not. docker-cli was split off
# docker.io in trixie and is only recommended there; cri-tools (crictl) exists in the newer suites.
OPTIONAL = "docker-cli cri-tools".split()

CONTAINER_SUITES = ("bullseye", "bookworm")
DISK = "10G"

# Nothing may start by itself in a test node and disturb it.
MASKED = """apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer
dpkg-db-backup.timer man-db.timer logrotate.timer systemd-networkd-wait-online.service
systemd-timesyncd.service systemd-networkd.service systemd-networkd.socket""".split()

# The only modules the way to the root disk needs; a full initrd is ten times as large and slow to
# unpack in an emulated machine.
INITRD_MODULES = "virtio_pci virtio_blk virtio_net virtio_rng ext4 crc32c_generic".split()

FILES = {
    "etc/hostname": "node\n",
    "etc/hosts": "127.0.0.1 localhost\n10.0.2.15 node\n",
    "etc/resolv.conf": "nameserver 10.0.2.3\n",
    "etc/fstab": "/dev/vda / ext4 defaults,errors=remount-ro 0 1\n",
    "etc/systemd/system/lab-net.service": """[Unit]
Description=Address of the lab's user-mode network
DefaultDependencies=no
Wants=network.target
After=systemd-udev-trigger.service
Before=network.target network-online.target sshd.service ssh.service
ConditionVirtualization=!container
Conflicts=shutdown.target
Before=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
# The interface can appear a moment after udev's coldplug was started.
ExecStart=/bin/sh -c 'n=0; until [ -e /sys/class/net/eth0 ] || [ $n -ge 300 ]; do sleep 0.2; n=$((n+1)); done; \\
ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0; ip route add default via 10.0.2.2; true'

[Install]
WantedBy=multi-user.target
""",
    # The lab logs in and out all the time; no need for name look-ups, banners or PAM's motd.
    "etc/ssh/sshd_config.d/lab.conf":
        "PermitRootLogin prohibit-password\nUseDNS no\nPrintMotd no\nMaxSessions 50\n",
    "etc/systemd/journald.conf.d/lab.conf":
        "[Journal]\nStorage=persistent\nSystemMaxUse=200M\nRateLimitBurst=0\nSyncIntervalSec=5s\n",
}


def ssh_key():
    """The lab's own root key, made once per cache."""
    path = CACHE / "ssh" / "id_ed25519"
    if not path.exists():
        with config.locked("ssh"):
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                config.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "castoff-lab",
                            "-f", path])
    return path


def key(suite):
    pub = Path(str(ssh_key()) + ".pub").read_text()
    recipe = json.dumps([PACKAGES, OPTIONAL, MASKED, INITRD_MODULES, FILES, DISK,
                         suite in CONTAINER_SUITES], sort_keys=True)
    return config.sha(suite, recipe, pub, "recipe-3")


def folder(suite):
    return CACHE / "images" / ("%s-%s" % (suite, key(suite)))


def image(suite, rebuild=False):
    """Folder with disk.qcow2, vmlinuz, initrd.img, packages.txt and perhaps rootfs/."""
    if suite not in config.SUITES:
        raise LabError("no suite %r; known: %s" % (suite, " ".join(config.SUITES)))
    out = folder(suite)
    if not rebuild and (out / "done").exists():
        return out
    with config.locked("image-" + suite):
        if rebuild or not (out / "done").exists():
            _build(suite, out)
    return out


def _build(suite, out):
    config.need_root()
    config.deps()
    began = time.monotonic()
    if out.exists():
        shutil.rmtree(out)
    # Images of older recipes go at once: each is more than a gigabyte.
    for old in out.parent.glob(suite + "-*"):
        say("removing the outdated image %s" % old.name)
        shutil.rmtree(old)
    # A rebuilt image has the same name, and a saved shape on top of the old one would be rubbish.
    for saved in (CACHE / "shapes").glob("*/shape.json"):
        if json.loads(saved.read_text())["image"] == str(out):
            shutil.rmtree(saved.parent)
    out.mkdir(parents=True)
    root = out / "rootfs"
    say("%s: building the root file system" % suite)
    _bootstrap(suite, root, out)
    made = time.monotonic()
    _dress(root, suite)
    _kernel(root, out)
    _disk(root, out)
    if suite not in CONTAINER_SUITES:
        shutil.rmtree(root)
    (out / "done").write_text("%.0f\n" % (time.monotonic() - began))
    say("%s: image ready in %.0f s (root file system %.0f s)" % (
        suite, time.monotonic() - began, made - began))


def _bootstrap(suite, root, out):
    base = config.archive()
    line = "deb [signed-by=%s] %s %s main" % (config.KEYRING, base, suite)
    setup = "mkdir -p %s && %s" % (
        " ".join('"$1"/' + d for d in ("etc/initramfs-tools/conf.d",
                                        "usr/share/initramfs-tools/modules.d")),
        "printf 'MODULES=list\\nRESUME=none\\n' >\"$1\"/etc/initramfs-tools/conf.d/lab && "
        "printf '%%s\\n' %s >\"$1\"/usr/share/initramfs-tools/modules.d/lab" % " ".join(INITRD_MODULES))
    optional = (
        "for p in %s; do if APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-cache show $p >/dev/null 2>&1; then "
        "chroot \"$1\" apt-get install -y --no-install-recommends $p; "
        "else echo \"LAB-MISSING $p\"; fi; done" % " ".join(OPTIONAL))
    cmd = ["mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory",
           "--include=" + ",".join(PACKAGES),
           "--dpkgopt=force-unsafe-io", "--dpkgopt=force-confold",
           "--aptopt=Acquire::Languages \"none\"",
           "--setup-hook=" + setup, "--customize-hook=" + optional]
    for path in ("doc", "man", "locale", "info", "lintian"):
        cmd.append("--dpkgopt=path-exclude=/usr/share/%s/*" % path)
    if suite == "forky":
        # A testing suite on a mirror that is not refreshed daily outlives its Release file.
        cmd.append('--aptopt=Acquire::Check-Valid-Until "false"')
    cmd += [suite, str(root), line]
    log = out / "mmdebstrap.log"
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive", LC_ALL="C.UTF-8")
    with open(log, "wb") as f:
        done = config.run(cmd, check=False, log=f, env=env)
    text = log.read_text(errors="replace")
    if done.returncode != 0:
        raise LabError("%s: mmdebstrap failed (%s):\n%s" % (
            suite, log, "\n".join(text.splitlines()[-15:])))
    for name in [w.split()[1] for w in text.splitlines() if w.startswith("LAB-MISSING ")]:
        say("NOTE: suite %s has no package %s; its nodes are without it" % (suite, name))


def write(root, rel, text, mode=0o644):
    path = root / rel
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        path.unlink()
    path.write_text(text)
    path.chmod(mode)


def _dress(root, suite):
    for rel, text in FILES.items():
        write(root, rel, text)
    # A fixed id: an empty one makes systemd take every boot from the image for the first one ever.
    write(root, "etc/machine-id", config.sha("machine-id", suite) * 2 + "\n")
    (root / "var/log/journal").mkdir(parents=True, exist_ok=True)
    units = root / "etc/systemd/system"
    for unit in MASKED:
        path = units / unit
        if path.is_symlink() or path.exists():
            path.unlink()
        path.symlink_to("/dev/null")
    wants = units / "multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    link = wants / "lab-net.service"
    if not link.is_symlink():
        link.symlink_to("/etc/systemd/system/lab-net.service")
    pub = Path(str(ssh_key()) + ".pub").read_text()
    write(root, "root/.ssh/authorized_keys", pub, 0o600)
    (root / "root/.ssh").chmod(0o700)
    # No password: reachable from the serial console of a node that lost its network.
    config.run(["chroot", root, "passwd", "-q", "-d", "root"], check=False)
    listing = config.output(["chroot", root, "dpkg-query", "-W", "-f", "${Package} ${Version}\n"])
    (root.parent / "packages.txt").write_text(listing)
    for old in (root / "var/cache/apt/archives").glob("*.deb"):
        old.unlink()


def _kernel(root, out):
    kernels = sorted((root / "boot").glob("vmlinuz-*"))
    initrds = sorted((root / "boot").glob("initrd.img-*"))
    if not kernels or not initrds:
        raise LabError("no kernel or initrd in %s/boot" % root)
    shutil.copy2(kernels[-1], out / "vmlinuz")
    shutil.copy2(initrds[-1], out / "initrd.img")


def _disk(root, out):
    raw = out / "disk.raw"
    config.run(["truncate", "-s", DISK, raw])
    # lazy_* off: a mounted fresh file system would otherwise write for minutes in the background.
    config.run(["mkfs.ext4", "-q", "-F", "-d", root, "-E", "lazy_itable_init=0,lazy_journal_init=0",
                raw], quiet=True)
    config.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, out / "disk.qcow2"])
    raw.unlink()


def versions(suite):
    """Package versions of a built image, for a person."""
    have = dict(line.split(" ", 1) for line in
                (folder(suite) / "packages.txt").read_text().splitlines())
    return {p: have.get(p, "-") for p in PACKAGES + OPTIONAL}


def shell(argv):
    return " ".join(shlex.quote(str(a)) for a in argv)
