"""What machines and containers have in common: a folder with their state, and the verbs run, put,
get. A node's folder is RUN/NAME; node.json in it is all that another `lab` call needs."""
import io
import json
import os
import shutil
import subprocess
import tarfile
import time
from pathlib import Path

from . import config
from .config import LabError, say


def alive(pid, marker):
    """Is this pid still the process we started? Pids are used again, and where nothing reaps
    orphans a killed process stays as a zombie."""
    if not pid:
        return False
    try:
        stat = Path("/proc/%d/stat" % pid).read_text()
        if stat.rsplit(")", 1)[1].split()[0] in "ZX":
            return False
        return marker in Path("/proc/%d/cmdline" % pid).read_bytes().decode("utf-8", "replace")
    except (OSError, IndexError):
        return False


def began(pid):
    """When a process began, as the kernel counts; None when there is none. With its pid that is one process and no other."""
    try:
        return Path("/proc/%d/stat" % pid).read_text().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return None


def wait_named(child, marker, deadline=30):
    """A process that has just become another program has no command line for a moment, and a longer one while a cold disk
    is busy: nobody must take it for dead then."""
    end = time.monotonic() + deadline
    while child.poll() is None and not alive(child.pid, marker) and time.monotonic() < end:
        time.sleep(0.01)


def kill(pid, marker, deadline=20):
    if not alive(pid, marker):
        return
    os.kill(pid, 9)
    end = time.monotonic() + deadline
    while alive(pid, marker):
        try:
            os.waitpid(pid, os.WNOHANG)  # when it is our own child
        except OSError:
            pass
        if time.monotonic() > end:
            raise LabError("process %d does not die" % pid)
        time.sleep(0.05)


class Node:
    def __init__(self, folder, state):
        self.dir = Path(folder)
        self.state = state

    # -- state --------------------------------------------------------------------------------

    @property
    def name(self):
        return self.state["name"]

    def save_state(self):
        new = self.dir / "node.json.new"
        new.write_text(json.dumps(self.state, indent=1, sort_keys=True) + "\n")
        new.rename(self.dir / "node.json")

    @property
    def marker(self):
        """A string in our process's command line that no other process has."""
        return str(self.dir) + "/"

    def running(self):
        return alive(self.state.get("pid"), self.marker)

    def orphan(self):
        """Half a shape, whose maker is gone."""
        pid, when = self.state.get("maker", (None, None))
        return pid is not None and began(pid) != when

    def spawn(self, cmd, env=None):
        """Starts the emulator or container detached from this process but not from its owner: when
        a scenario run, or the maker of a shape, dies in whatever way, the minder below ends the node."""
        with open(self.dir / "process.log", "ab") as log:
            child = subprocess.Popen([str(c) for c in cmd], stdin=subprocess.DEVNULL, stdout=log,
                                     stderr=log, start_new_session=True, env=env)
        wait_named(child, self.marker)
        self.state["pid"] = child.pid
        self.save_state()
        owner = self.state.get("maker", [os.environ.get("CASTOFF_LAB_OWNER")])[0]
        if owner:
            subprocess.Popen(
                ["sh", "-c", 'while kill -0 "$1" 2>/dev/null && kill -0 "$2" 2>/dev/null; do sleep 2; '
                 'done; grep -qF -- "$3" "/proc/$2/cmdline" 2>/dev/null || exit 0; '
                 # nspawn's child is the container's PID 1, which would live on without it.
                 'kill -9 $(cat "/proc/$2/task/$2/children") "$2"',
                 "castoff-lab-minder", str(owner), str(child.pid), self.marker],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                start_new_session=True)
        return child

    def process_log(self, lines=15):
        text = ""
        for name in ("process.log", "console.log"):
            path = self.dir / name
            if path.exists():
                tail = path.read_text(errors="replace").splitlines()[-lines:]
                text += "--- %s\n%s\n" % (path, "\n".join(tail))
        return text

    # -- verbs every node has -----------------------------------------------------------------

    def argv(self, command):
        """The host command that runs `command` (a list) in the node; see Machine and Container."""
        raise NotImplementedError

    def exec(self, command, check=True, capture=False, **kw):
        """One word is a shell command line; several are an argument list, passed exactly."""
        if len(command) == 1:
            command = ["sh", "-c", command[0]]
        if capture:
            kw["stdout"] = subprocess.PIPE
        if "input" not in kw:
            kw.setdefault("stdin", subprocess.DEVNULL)
        done = subprocess.run(self.argv([str(c) for c in command]), **kw)
        if check and done.returncode != 0:
            raise LabError("%s: %s: exit code %d" % (self.name, " ".join(command), done.returncode))
        if capture:
            return done.stdout.decode("utf-8", "replace")
        return done.returncode

    def put(self, src, dst):
        """A file to a file (or into a folder when dst ends in /), or a folder's contents to a
        folder. Everything belongs to root in the node."""
        src = Path(src)
        if src.is_dir():
            def to_root(info):
                info.uid = info.gid = 0
                info.uname = info.gname = "root"
                return info
            data = io.BytesIO()
            with tarfile.open(fileobj=data, mode="w") as tar:
                for child in sorted(src.iterdir()):
                    tar.add(str(child), arcname=child.name, filter=to_root)
            # --keep-directory-symlink: /lib is a link in the node and a folder in an overlay.
            self.exec(["sh", "-c", 'mkdir -p "$1" && tar --keep-directory-symlink --warning=no-timestamp -xf - '
                       '--no-overwrite-dir -C "$1"', "sh", dst], input=data.getvalue())
            return
        if not src.is_file():
            raise LabError("no such file: %s" % src)
        if dst.endswith("/"):
            dst += src.name
        mode = "%o" % (src.stat().st_mode & 0o777)
        with open(src, "rb") as f:
            # Through a new file: the old one may be a program that runs right now.
            self.exec(["sh", "-c", 'mkdir -p "$(dirname "$1")" && cat >"$1.lab-new" && '
                       'chmod "$2" "$1.lab-new" && mv "$1.lab-new" "$1"', "sh", dst, mode], stdin=f)

    def get(self, src, dst):
        dst = Path(dst)
        if self.exec(["test", "-d", src], check=False) == 0:
            dst.mkdir(parents=True, exist_ok=True)
            data = subprocess.run(self.argv(["tar", "-cf", "-", "-C", src, "."]),
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            if data.returncode != 0:
                raise LabError("%s: cannot read %s" % (self.name, src))
            subprocess.run(["tar", "-xf", "-", "-C", str(dst)], input=data.stdout, check=True)
            return
        if dst.is_dir():
            dst = dst / Path(src).name
        dst.parent.mkdir(parents=True, exist_ok=True)
        new = dst.with_name(dst.name + ".lab-new")
        with open(new, "wb") as f:
            code = self.exec(["cat", src], check=False, stdout=f)
        if code != 0:
            new.unlink()
            raise LabError("%s: cannot read %s" % (self.name, src))
        new.rename(dst)

    def forward(self, port):
        raise LabError("%s is no machine: only machines have ports forwarded (tests/lab/relay serves containers)" % self.name)

    reach = forward

    def wait_settled(self, deadline=600):
        """Until systemd is done with the boot; returns its word (running or degraded)."""
        word = [""]

        def settled():
            word[0] = self.exec(["systemctl is-system-running || true"], capture=True).strip()
            return word[0] in ("running", "degraded", "maintenance")
        config.wait_for("%s: systemd has booted" % self.name, deadline, settled, pause=1,
                        alive=self.running)
        return word[0]

    def down(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def stop(self):
        kill(self.state.get("pid"), self.marker)


def create(name, state):
    folder = config.RUN / name
    if "/" in name or name.startswith("."):
        raise LabError("not a node name: %r" % name)
    if (folder / "node.json").exists():
        if find(name).running() and not find(name).orphan():
            raise LabError("node %s exists already (lab down %s)" % (name, name))
        say("node %s: removing what a dead one left" % name)
        find(name).down()
    folder.mkdir(parents=True, exist_ok=True)
    node = _class(state["kind"])(folder, dict(state, name=name))
    node.save_state()
    return node


def _class(kind):
    from .container import Container
    from .machine import Machine
    return {"machine": Machine, "container": Container}[kind]


def find(name):
    path = config.RUN / name / "node.json"
    if not path.exists():
        raise LabError("no node %s (known: %s)" % (
            name, " ".join(n.name for n in every()) or "none"))
    state = json.loads(path.read_text())
    return _class(state["kind"])(path.parent, state)


def every(base=None):
    base = base or config.RUN
    found = []
    for path in sorted(base.glob("*/node.json")):
        try:
            state = json.loads(path.read_text())
            found.append(_class(state["kind"])(path.parent, state))
        except (ValueError, KeyError):
            say("unreadable: %s" % path)
    return found
