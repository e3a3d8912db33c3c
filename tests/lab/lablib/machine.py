"""Full nodes: a Debian machine emulated by QEMU, with its own kernel and cgroup tree."""
import json
import socket
import subprocess
import time

from . import config, images
from .config import LabError, say
from .node import Node, every

# Of an emulated machine's clocks only the TSC costs no way out of the guest, and the kernel does not trust it by itself: with
# the HPET instead everything written in Go, which asks for the time all along, takes a fifth to a third longer. There is
# nothing to mitigate in an emulated processor, and five levels of page tables are one more to walk.
BASE_CMDLINE = "root=/dev/vda rw console=ttyS0 net.ifnames=0 panic=-1 quiet tsc=reliable no5lvl mitigations=off"

# What a saved machine state depends on besides the disk: change this and every base is made anew.
HARDWARE = "pc-max-smp2-virtio-2"

# A kernel that has not written to its disk for so many seconds after its start hangs in its first moments, which emulated
# machines do now and then on a busy host. A healthy one mounts its disk within a minute, on the busiest host seen so far.
STUCK = 300


def qemu_version():
    return config.output(["qemu-system-x86_64", "--version"]).splitlines()[0]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Machine(Node):
    """state: image (folder), memory, cmdline, port, pid, forwards (pairs of ssh's option and its value)."""

    # When the disk of a machine that boots was last written before it started.
    _untouched = None

    @property
    def disk(self):
        return self.dir / "disk.qcow2"

    @property
    def data_disks(self):
        return [self.dir / ("data%d.qcow2" % n) for n in range(1, self.state.get("disks", 0) + 1)]

    def overlay(self, backing):
        config.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", backing, self.disk])

    # -- life ---------------------------------------------------------------------------------

    def start(self, loadvm=None):
        """Starts the emulator; returns once it runs (not: once the guest answers)."""
        if self.running():
            raise LabError("%s runs already" % self.name)
        _wait_for_room(self.name)
        image = self.state["image"]
        port = free_port()
        accel = "kvm" if config.ACCEL == "kvm" else "tcg,thread=multi,tb-size=512"
        qmp = self.dir / "qmp.sock"
        if qmp.exists():
            qmp.unlink()
        cmd = ["qemu-system-x86_64", "-name", "castoff-" + self.name, "-machine", "pc", "-accel", accel,
               "-cpu", "max", "-smp", "2", "-m", str(self.state["memory"]),
               "-nodefaults", "-no-user-config", "-display", "none", "-rtc", "base=utc",
               "-kernel", "%s/vmlinuz" % image, "-initrd", "%s/initrd.img" % image,
               "-append", " ".join([BASE_CMDLINE, self.state.get("cmdline", "")]).strip(),
               "-drive", "file=%s,if=none,id=root,format=qcow2,cache=writeback,discard=unmap" % self.disk,
               "-device", "virtio-blk-pci,drive=root"]
        # Behind the root disk, which has to stay vda.
        for n, disk in enumerate(self.data_disks, 1):
            cmd += ["-drive", "file=%s,if=none,id=data%d,format=qcow2,cache=writeback,discard=unmap" % (disk, n),
                    "-device", "virtio-blk-pci,drive=data%d" % n]
        cmd += ["-netdev", "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:%d-:22" % port,
               "-device", "virtio-net-pci,netdev=net,romfile=",
               "-object", "rng-random,filename=/dev/urandom,id=rng", "-device", "virtio-rng-pci,rng=rng",
               "-chardev", "file,id=con,path=%s/console.log,append=on" % self.dir,
               "-serial", "chardev:con",
               "-qmp", "unix:%s,server=on,wait=off" % qmp]
        if loadvm:
            cmd += ["-loadvm", loadvm]
        self.state["port"] = port
        self._forget_ssh()
        self._untouched = None if loadvm else self.disk.stat().st_mtime_ns
        child = self.spawn(cmd)
        # A refused option or snapshot shows at once.
        end = time.monotonic() + 120
        while not qmp.exists():
            if child.poll() is not None or time.monotonic() > end:
                raise LabError("%s: the emulator does not start\n%s" % (self.name, self.process_log()))
            time.sleep(0.05)

    def wait_ssh(self, deadline=1200):
        began = time.monotonic()

        def answers():
            if self._connect():
                return True
            hangs = self._untouched == self.disk.stat().st_mtime_ns and time.monotonic() > began + STUCK
            if hangs:
                say("%s: its kernel hangs before it mounts its disk; started again" % self.name)
                self.stop()
                self.start()
                self._untouched = None  # once is enough
            return False
        config.wait_for("%s: ssh answers" % self.name, deadline, answers, pause=0.3, alive=self.running)

    def set_clock(self):
        """A loaded machine wakes up with the time of its saving; certificates and timers want now."""
        self.exec(["date -s @%.3f >/dev/null" % (time.time() + 0.05)])

    def stop(self):
        self._forget_ssh()
        super().stop()

    def cut(self):
        """Power cut: the emulator is gone without a chance to write anything."""
        if not self.running():
            raise LabError("%s does not run" % self.name)
        self.stop()

    def boot(self):
        self.start()
        self.wait_ssh()

    # -- ssh ----------------------------------------------------------------------------------

    def _ssh(self):
        return ["ssh", "-q", "-i", str(images.ssh_key()), "-p", str(self.state["port"]),
                "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR",
                "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=8",
                "-o", "ConnectTimeout=10", "-S", str(self.dir / "ctl"), "root@127.0.0.1"]

    def _connect(self):
        """Opens the shared connection all later commands go through (each new one would cost the
        emulated machine about half a second of key exchange)."""
        base = self._ssh()
        done = subprocess.run(base[:1] + ["-fNM", "-o", "ControlPersist=yes"] + base[1:],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
        if done.returncode != 0:
            return False
        for way, here in self.state.get("forwards", []):
            self._put_forward(way, here)
        return True

    # A node reaches nothing outside of itself, and nothing but ssh reaches it. Single ports go through the shared connection,
    # and are put up again with it: after a boot, a loaded state, or when it broke.

    def forward(self, port):
        """In the node, 127.0.0.1:PORT leads to the same port of this machine."""
        self._add_forward("-R", "127.0.0.1:%d:127.0.0.1:%d" % (port, port))

    def reach(self, port):
        """A port of this machine that leads to the node's 127.0.0.1:PORT; it stays the same over boots."""
        tail = ":127.0.0.1:%d" % port
        for way, here in self.state.get("forwards", []):
            if way == "-L" and here.endswith(tail):
                return int(here.split(":")[1])
        mine = free_port()
        self._add_forward("-L", "127.0.0.1:%d%s" % (mine, tail))
        return mine

    def _add_forward(self, way, here):
        known = self.state.setdefault("forwards", [])
        if [way, here] not in known:
            known.append([way, here])
            self.save_state()
        self.exec(["true"])  # the connection is there
        self._put_forward(way, here)

    def _put_forward(self, way, here):
        base = self._ssh()
        ask = base[:1] + ["-O", "forward", way, here] + base[1:]
        end = time.monotonic() + 60
        while True:
            done = subprocess.run(ask, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if done.returncode == 0:
                return
            if time.monotonic() > end:
                raise LabError("%s: ssh does not forward %s %s" % (self.name, way, here))
            if way == "-R":
                # A loaded machine still has the sshd of a connection that is no more, and that has the port.
                self.exec(["ss -Hltnp 'sport = :%s' | sed -n 's/.*sshd.*pid=\\([0-9]*\\).*/\\1/p' | xargs -r kill"
                           % here.split(":")[1]], check=False)
            time.sleep(1)

    def _forget_ssh(self):
        ctl = self.dir / "ctl"
        if ctl.exists() and self.state.get("port"):
            base = self._ssh()
            subprocess.run(base[:1] + ["-O", "exit"] + base[1:], stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if ctl.exists():
            ctl.unlink(missing_ok=True)

    def argv(self, command):
        if not (self.dir / "ctl").exists() and self.running():
            self._connect()
        return self._ssh() + ["--", images.shell(command)]

    # -- saved states -------------------------------------------------------------------------

    def monitor(self, line, timeout=600):
        """One line for QEMU's human monitor; its answer is empty when all went well."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(timeout)
            s.connect(str(self.dir / "qmp.sock"))
            f = s.makefile("rw")
            f.readline()
            answer = None
            for i, (name, args) in enumerate((("qmp_capabilities", {}),
                                              ("human-monitor-command", {"command-line": line}))):
                f.write(json.dumps({"execute": name, "arguments": args, "id": i}) + "\n")
                f.flush()
                while True:
                    text = f.readline()
                    if not text:
                        raise LabError("%s: the emulator went away during %r" % (self.name, line))
                    answer = json.loads(text)
                    if answer.get("id") == i:
                        break
            if "error" in answer:
                raise LabError("%s: %s: %s" % (self.name, line, answer["error"].get("desc")))
            return answer["return"].strip()

    def save(self, tag):
        # Less to write: file cache is most of a small node's memory.
        self.exec(["sync; echo 3 >/proc/sys/vm/drop_caches"])
        word = self.monitor("savevm " + tag)
        if word:
            raise LabError("%s: savevm %s: %s" % (self.name, tag, word))

    def load(self, tag):
        if self.running():
            self._forget_ssh()
            word = self.monitor("loadvm " + tag)
            if word:
                raise LabError("%s: loadvm %s: %s" % (self.name, tag, word))
        else:
            self.start(loadvm=tag)
        self.wait_ssh()
        self.set_clock()

    def power_off_saved(self):
        """Ends a machine right after save(): nothing that ran since then is of interest."""
        self.monitor("stop")
        self.stop()


def _wait_for_room(name):
    """At most MAX_MACHINES emulators at once, over all runs in the same place."""
    def others():
        base = config.RUN.parent if config.RUN.name.startswith("run-") else config.RUN
        nodes = every(base)
        for sub in base.glob("run-*"):
            nodes += every(sub)
        return [n.name for n in nodes if n.state["kind"] == "machine" and n.running()]
    told = False
    end = time.monotonic() + 1800
    while len(others()) >= config.MAX_MACHINES:
        if not told:
            say("%s waits: %s run already and %d machines at once is the most" % (
                name, " ".join(others()), config.MAX_MACHINES))
            told = True
        if time.monotonic() > end:
            raise LabError("no room for %s: %s still run" % (name, " ".join(others())))
        time.sleep(2)


def copy_disk(src, dst):
    """A saved base holds its machine states inside the qcow2 file, so every run gets a copy."""
    config.run(["cp", "--reflink=auto", "--sparse=always", src, dst])
