"""Runs scenarios: folders with a scenario.toml and a run.sh. Every check in them is a test."""
import os
import shutil
import signal
import subprocess
import time
import tomllib
from pathlib import Path

from . import config, control_plane, node, shapes
from .config import LAB, RESULTS, SCENARIOS, CannotRun, LabError, say

KEYS = {"description", "tier", "shapes", "control-plane", "timeout"}
TIERS = ("smoke", "full")


class Scenario:
    def __init__(self, name):
        self.name = name
        self.dir = SCENARIOS / name
        path = self.dir / "scenario.toml"
        if not path.exists():
            raise LabError("no scenario %r; known: %s" % (name, " ".join(names())))
        spec = tomllib.loads(path.read_text())
        if set(spec) - KEYS or spec.get("tier") not in TIERS:
            raise LabError("%s: keys are %s, tier is one of %s" % (path, sorted(KEYS), TIERS))
        self.tier = spec["tier"]
        self.description = spec.get("description", "")
        self.shapes = spec.get("shapes", [])
        # Built before the clock starts, as shapes are.
        self.control_plane = bool(spec.get("control-plane", False))
        # A run of hours, which no CI asks for, says so itself.
        self.timeout = int(os.environ.get("CASTOFF_LAB_TIMEOUT") or spec.get("timeout", 1200))


def names():
    return sorted(p.parent.name for p in SCENARIOS.glob("*/scenario.toml"))


def chosen(args):
    known = [Scenario(n) for n in names()]
    if args == ["--smoke"]:
        return [s for s in known if s.tier == "smoke"]
    if args == ["--full"]:
        return sorted(known, key=lambda s: TIERS.index(s.tier))
    if not args or any(a.startswith("-") for a in args):
        raise LabError("lab run SCENARIO... | --smoke | --full; scenarios: %s" % " ".join(names()))
    return [Scenario(a) for a in args]


def main(args):
    todo = chosen(args)
    total = {"ok": 0, "fail": 0, "skip": 0}
    bad = []
    required = os.environ.get("CASTOFF_LAB") == "required"
    began = time.monotonic()
    try:
        config.need_root()
        config.deps()
        unfit = None
        sweep()
    except CannotRun as e:
        unfit = str(e)
    for s in todo:
        print("\n== %s (%s): %s" % (s.name, s.tier, s.description), flush=True)
        from_ = time.monotonic()
        if unfit:
            print("skip - %s: %s" % (s.name, unfit), flush=True)
            counts = {"ok": 0, "fail": 0, "skip": 1}
        else:
            counts = one(s)
        if counts["skip"] and required:
            print("FAIL - %s: skipped, and CASTOFF_LAB=required says nothing may be" % s.name)
            counts["fail"] += counts["skip"]
            counts["skip"] = 0
        for k in total:
            total[k] += counts[k]
        if counts["fail"]:
            bad.append(s.name)
        print("== %s: %d ok, %d failed, %d skipped in %.0f s" % (
            s.name, counts["ok"], counts["fail"], counts["skip"], time.monotonic() - from_), flush=True)
    print()
    if bad:
        print("failed: %s (logs in %s)" % (" ".join(bad), RESULTS))
    if not todo:
        print("FAIL - no scenario to run")
        total["fail"] += 1
    print("lab: %d scenarios in %.0f s" % (len(todo), time.monotonic() - began))
    print("%d passed, %d failed, %d skipped" % (total["ok"], total["fail"], total["skip"]), flush=True)
    return 1 if total["fail"] else 0


def sweep():
    """Throws away what runs left behind that were killed hard."""
    for place in config.RUN.glob("run-*"):
        pid = place.name[len("run-"):]
        if pid.isdigit() and not node.alive(int(pid), "run"):
            say("sweeping up after run %s" % pid)
            for n in node.every(place) + control_plane.every(place):
                n.down()
            shutil.rmtree(place, ignore_errors=True)


def one(s):
    """Runs one scenario in a place of its own and leaves nothing running."""
    results = RESULTS.resolve()
    # The next run of it from this checkout begins with emptying the folder of this one.
    with config.locked(s.name, results, "run"):
        return _one(s, results / s.name)


def _one(s, results):
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir(parents=True)
    # Shapes are made before the clock starts: on a fresh machine that takes minutes, once.
    try:
        for shape in s.shapes:
            shapes.base(shape)
        if s.control_plane:
            control_plane.binaries()
    except CannotRun as e:
        print("skip - %s" % e)
        return {"ok": 0, "fail": 0, "skip": 1}
    except LabError as e:
        print("FAIL - a shape of this scenario, or its control plane, cannot be made: %s" % e)
        return {"ok": 0, "fail": 1, "skip": 0}
    place = config.RUN / ("run-%d" % os.getpid())
    place.mkdir(parents=True, exist_ok=True)
    counts_file = place / "counts"
    counts_file.write_text("")
    env = dict(os.environ, LAB_RESULTS=str(results), LAB_COUNTS=str(counts_file),
               SCENARIO_DIR=str(s.dir), CASTOFF_LAB_RUN=str(place), CASTOFF_LAB_OWNER=str(os.getpid()))
    if env.get("CASTOFF_BIN"):
        env["CASTOFF_BIN"] = str(Path(env["CASTOFF_BIN"]).resolve())
    fail = 0
    log = open(results / "output.log", "wb")
    child = subprocess.Popen(
        ["bash", "-c", 'source "$1/lib.sh"; cd "$SCENARIO_DIR"; source ./run.sh', "scenario", str(LAB)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env,
        start_new_session=True)
    try:
        fail += _follow(child, log, s)
    finally:
        # Nothing may interrupt the clean-up; whoever cannot wait has kill -9, and then the minders of
        # the nodes end them and the next run sweeps up.
        before = {n: signal.signal(n, signal.SIG_IGN) for n in (signal.SIGTERM, signal.SIGHUP)}
        if child.poll() is None:
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            child.wait()
        log.close()
        words = counts_file.read_text().split()
        bad = fail or child.returncode != 0 or "fail" in words
        planes = control_plane.every(place)
        if bad or os.environ.get("LAB_LOGS"):
            # lib.sh gets the logs of nodes, out of the nodes; these are here.
            for cp in planes:
                cp.keep_logs(results / cp.name)
        for n in node.every(place) + planes:
            try:
                n.down()
            except LabError as e:
                say("%s: %s" % (n.name, e))
        shutil.rmtree(place, ignore_errors=True)
        for number, handler in before.items():
            signal.signal(number, handler)
    counts = {k: words.count(k) for k in ("ok", "fail", "skip")}
    if child.returncode != 0 and not counts["fail"] and not fail:
        print("FAIL - %s: run.sh ended with exit code %d" % (s.name, child.returncode))
        fail += 1
    if sum(counts.values()) == 0 and not fail:
        print("FAIL - %s: not one check was made" % s.name)
        fail += 1
    counts["fail"] += fail
    return counts


def _follow(child, log, s):
    """Shows the scenario's output as it comes and ends it when its time is up."""
    end = time.monotonic() + s.timeout
    os.set_blocking(child.stdout.fileno(), False)
    quiet = 0
    while True:
        text = child.stdout.read()
        if text:
            log.write(text)
            log.flush()
            print(text.decode("utf-8", "replace"), end="", flush=True)
        if child.poll() is not None:
            # A background process of run.sh may still hold the pipe: one last look, then go on.
            quiet += 1
            if not text or quiet > 20:
                return 0
        if time.monotonic() > end:
            print("FAIL - %s: not done within %d s" % (s.name, s.timeout), flush=True)
            # TERM first: lib.sh's trap collects the logs of the nodes.
            os.killpg(child.pid, signal.SIGTERM)
            try:
                child.wait(timeout=120)
            except subprocess.TimeoutExpired:
                pass
            return 1
        time.sleep(0.1)
