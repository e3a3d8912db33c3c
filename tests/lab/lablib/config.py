"""Paths, small helpers and the few facts every other module needs."""
import fcntl
import hashlib
import os
import shlex
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

LAB = Path(__file__).resolve().parent.parent
ROOT = LAB.parent.parent
SHAPES = LAB / "shapes"
SCENARIOS = LAB / "scenarios"

CACHE = Path(os.environ.get("CASTOFF_LAB_CACHE", "/var/cache/castoff-lab"))
RUN = Path(os.environ.get("CASTOFF_LAB_RUN", "/var/tmp/castoff-lab"))
RESULTS = Path(os.environ.get("CASTOFF_LAB_RESULTS", str(ROOT / "target" / "lab-results")))
ACCEL = os.environ.get("CASTOFF_LAB_ACCEL", "tcg")

SUITES = ("bullseye", "bookworm", "trixie", "forky")

# Two emulated machines on two cores are the most that still make progress.
MAX_MACHINES = int(os.environ.get("CASTOFF_LAB_MACHINES", "2"))


class LabError(Exception):
    """Something went wrong; the text is for a person."""


class CannotRun(LabError):
    """This machine cannot run the lab at all (no root, no archive): a skip, not a failure."""


START = time.monotonic()


def say(text):
    """Progress goes to stderr, so that the output of `lab ssh` stays clean."""
    try:
        print("lab [%6.1fs] %s" % (time.monotonic() - START, text), file=sys.stderr, flush=True)
    except OSError:
        pass  # A terminal that is gone must not keep a clean-up from its end.


def run(cmd, check=True, quiet=False, log=None, **kw):
    """Runs a command. With quiet the output is kept and shown only when it fails."""
    cmd = [str(c) for c in cmd]
    if log is not None:
        kw["stdout"] = log
        kw["stderr"] = subprocess.STDOUT
    elif quiet:
        kw["stdout"] = subprocess.PIPE
        kw["stderr"] = subprocess.STDOUT
    kw.setdefault("stdin", subprocess.DEVNULL)
    done = subprocess.run(cmd, **kw)
    if check and done.returncode != 0:
        text = done.stdout
        if isinstance(text, bytes):
            text = text.decode("utf-8", "replace")
        tail = "\n".join((text or "").splitlines()[-25:])
        raise LabError("%s: exit code %d\n%s" % (shlex.join(cmd), done.returncode, tail))
    return done


def output(cmd, check=True, **kw):
    done = subprocess.run([str(c) for c in cmd], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kw)
    if check and done.returncode != 0:
        raise LabError("%s: exit code %d\n%s" % (
            shlex.join(str(c) for c in cmd), done.returncode,
            done.stderr.decode("utf-8", "replace")[-2000:]))
    return done.stdout.decode("utf-8", "replace")


def need_root():
    if os.geteuid() != 0:
        raise CannotRun("not root (images, containers and the kubelet build need it)")


def deps():
    """Installs the Debian packages the lab uses; says why when that is impossible."""
    code = subprocess.run([str(LAB / "deps.sh")], stdin=subprocess.DEVNULL).returncode
    if code == 3:
        raise CannotRun("tests/lab/deps.sh: this machine cannot run the lab (see above)")
    if code != 0:
        raise LabError("tests/lab/deps.sh: exit code %d" % code)


def archive():
    """Base address of the Debian archive this machine itself uses; never written into a file here."""
    release = {}
    for line in Path("/etc/os-release").read_text().splitlines():
        if "=" in line:
            key, value = line.split("=", 1)
            release[key] = value.strip('"')
    text = output(["apt-get", "indextargets", "--format",
                   "$(REPO_URI)|$(RELEASE)|$(CREATED_BY)"], check=False)
    for line in text.splitlines():
        uri, suite, kind = (line.split("|") + ["", ""])[:3]
        if kind == "Packages" and suite == release.get("VERSION_CODENAME"):
            return uri.rstrip("/")
    raise CannotRun("apt knows no Debian archive on this machine")


KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def sha(*parts):
    """A short key over texts, files and folders (names, modes and contents)."""
    h = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            files = [part] if part.is_file() else sorted(
                p for p in part.rglob("*") if p.is_file() or p.is_symlink())
            for f in files:
                name = f.name if f == part else str(f.relative_to(part))
                h.update(b"\0name\0" + name.encode())
                if f.is_symlink():
                    h.update(b"\0link\0" + os.readlink(f).encode())
                else:
                    h.update(b"\0%o\0" % (f.stat().st_mode & 0o111))
                    h.update(f.read_bytes())
        else:
            h.update(b"\0text\0" + str(part).encode())
    return h.hexdigest()[:16]


@contextmanager
def locked(name, place=None, what="build"):
    """One builder at a time per thing: two sessions may share the cache. The same for what else is one's own for a time."""
    place = place or CACHE
    place.mkdir(parents=True, exist_ok=True)
    with open(place / (".lock-" + name), "w") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another %s of %s" % (what, name))
            fcntl.flock(f, fcntl.LOCK_EX)
        yield


def wait_for(what, deadline, probe, pause=0.5, alive=None):
    """Polls until probe() is true. Deadlines are generous: the machines are emulated and the host
    is shared, so a deadline is there to end a hung run and never to judge speed."""
    end = time.monotonic() + deadline
    while True:
        if probe():
            return
        if alive is not None and not alive():
            raise LabError("%s: the node died while waiting" % what)
        if time.monotonic() > end:
            raise LabError("%s: not within %d s" % (what, deadline))
        time.sleep(pause)
