"""Fast nodes: systemd-nspawn on a copy of the suite's root file system. Real PID 1, D-Bus, units and
dockerd, up in seconds; no own kernel, no power cuts, and pods only where the host allows it."""
import os
import time
from pathlib import Path

from . import config
from .config import CannotRun, LabError
from .node import Node, alive, began, kill


CGROUPS = Path("/sys/fs/cgroup")

# Puts itself into an own cgroup of every v1 controller and then becomes its arguments: the container's
# cgroup namespace is rooted there, so that what Docker and kubelet make stays inside the node's own
# branch of the host's tree. A new cpuset group is empty and takes no process until it has processors.
ENTER = """name=$1; shift
for d in /sys/fs/cgroup/*/; do
    [ -e "$d/notify_on_release" ] && [ "$d" != /sys/fs/cgroup/systemd/ ] || continue
    mkdir -p "$d$name" || exit 1
    for f in cpuset.cpus cpuset.mems; do [ -e "$d$f" ] && cat "$d$f" >"$d$name/$f"; done
    echo $$ >"$d$name/cgroup.procs" || exit 1
done
exec "$@"
"""


def need_v1():
    """The node's branches are of cgroup v1: where there is none, Docker and kubelet would work in the host's own tree."""
    if not any(path.parent.name != "systemd" for path in CGROUPS.glob("*/notify_on_release")):
        raise CannotRun("container nodes need cgroup v1 controllers, and this host has only cgroup v2 "
                        "(the kernel option systemd.unified_cgroup_hierarchy=0 brings them back)")


class Container(Node):
    """state: image, leader (pid of the container's PID 1 as the host sees it), leader_began."""

    @property
    def root(self):
        return self.dir / "root"

    @property
    def cgroup(self):
        return "castoff-lab-%s" % str(self.dir).strip("/").replace("/", "-")

    def copy_root(self, source):
        # A copy, not an overlay: Docker's overlay2 cannot stack on an overlay file system.
        config.run(["cp", "-a", "--reflink=auto", source, self.root])

    def start(self, loadvm=None):
        if loadvm:
            raise LabError("a container node has no saved machine state")
        if self.running():
            raise LabError("%s runs already" % self.name)
        need_v1()
        # /sys/fs/cgroup must be writable for dockerd and kubelet.
        env = dict(os.environ, SYSTEMD_NSPAWN_API_VFS_WRITABLE="1")
        self._drop_cgroups()
        child = self.spawn(
            ["sh", "-c", ENTER, "sh", self.cgroup, "systemd-nspawn", "-q", "-D", "%s/root" % self.dir, "--boot", "--register=no", "--keep-unit",
             "-M", "castoff-" + self.name.strip("_"), "--hostname=node", "--capability=all", "--private-network",
             "--system-call-filter=add_key keyctl bpf", "--console=read-only",
             "--resolv-conf=off", "--timezone=off", "--link-journal=no"], env=env)
        leader = [None]

        def booted():
            if child.poll() is not None:
                raise LabError("%s: systemd-nspawn ended\n%s" % (self.name, self.process_log()))
            try:
                kids = Path("/proc/%d/task/%d/children" % (child.pid, child.pid)).read_text().split()
            except OSError:
                return False
            for kid in kids:
                try:
                    if b"systemd" in Path("/proc/%s/comm" % kid).read_bytes() and \
                            Path("/proc/%s/root/run/systemd/private" % kid).exists():
                        leader[0] = int(kid)
                        return True
                except OSError:
                    pass
            return False
        config.wait_for("%s: PID 1 runs" % self.name, 120, booted, pause=0.1)
        self.state.update(leader=leader[0], leader_began=began(leader[0]))
        self.save_state()
        # nspawn mounts the v1 controllers read-only; they are the node's own branch, see ENTER.
        self.exec(["for c in /sys/fs/cgroup/*; do [ -e $c/notify_on_release ] && "
                   "mount -o remount,rw,bind $c; done; true"])
        # kubelet reads the kernel log for out-of-memory events and does not start without it.
        self.exec(["[ -e /dev/kmsg ] || mknod /dev/kmsg c 1 11; ip link set lo up; "
                   # An address and a default route that lead nowhere: kubelet looks for its own.
                   "ip link add eth0 type veth peer name lab0 && ip link set lab0 up && ip link set eth0 up && "
                   "ip addr add 10.0.2.15/24 dev eth0 && ip route add default via 10.0.2.2 dev eth0; true"])

    def wait_ssh(self, deadline=120):
        config.wait_for("%s: commands run" % self.name, deadline,
                        lambda: self.exec(["true"], check=False) == 0, alive=self.running)

    def set_clock(self):
        """The host's clock is the node's clock."""

    def argv(self, command):
        return ["nsenter", "-t", str(self.state["leader"]), "-a", "--", "env", "-i",
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME=/root", "LANG=C.UTF-8"] + [str(c) for c in command]

    def stop(self):
        leader, pid = self.state.get("leader"), self.state.get("pid")
        if leader and began(leader) and began(leader) == self.state.get("leader_began"):
            # Killing PID 1 of a pid namespace ends everything in it; nspawn then ends by itself. PID 1
            # survives an nspawn that was killed, so it is looked for even when that is gone.
            try:
                os.kill(leader, 9)
            except ProcessLookupError:
                pass
            end = time.monotonic() + 10
            while alive(pid, self.marker) and time.monotonic() < end:
                time.sleep(0.05)
        kill(pid, self.marker)
        self._drop_cgroups()

    def _drop_cgroups(self):
        """Removes the node's empty branches of the host's cgroup tree, innermost first."""
        for top in CGROUPS.glob("*/" + self.cgroup):
            for folder, _, _ in os.walk(top, topdown=False):
                for _ in range(20):
                    try:
                        os.rmdir(folder)
                        break
                    except FileNotFoundError:
                        break
                    except OSError:
                        time.sleep(0.1)  # the last processes are still on their way out

    def cut(self):
        raise LabError("%s is a container: it has no power to cut (use a machine shape)" % self.name)

    def boot(self):
        self.start()
        self.wait_ssh()

    def save(self, tag):
        raise LabError("%s is a container: its state cannot be saved" % self.name)

    load = save
