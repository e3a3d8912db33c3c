"""Runs of scenarios beside each other, and what is left when one is ended hard."""
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

LAB = Path(__file__).resolve().parents[1] / "lab"
sys.path.insert(0, str(LAB))

from lablib import config, node  # noqa: E402

# Runs the scenario `s` of the folder it is given, with everything it writes there.
ONE = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from lablib import config, scenario
here = Path(sys.argv[2])
scenario.SCENARIOS, scenario.RESULTS, config.RUN = here / "scenarios", here / "results", here / "run"
print("counts", scenario.one(scenario.Scenario("s")))
"""
# Starts a node as the maker of a shape does, and stays.
MAKER = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from lablib import config, node
config.RUN = Path(sys.argv[2])
n = node.create("_s", {"kind": "machine", "shape": "s", "maker": [os.getpid(), node.began(os.getpid())]})
n.spawn([sys.executable, "-c", "import time; time.sleep(600)", n.marker])
print(n.state["pid"], flush=True)
time.sleep(600)
"""
COMMAND = """
import sys, time
sys.path.insert(0, sys.argv[1])
from lablib import cli
def dispatch(*_):
    try:
        print("runs", flush=True)
        time.sleep(float(sys.argv[2]))
    finally:
        print("cleaned", flush=True)
cli.dispatch = dispatch
sys.exit(cli.main(["list"]))
"""


class Runs(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = Path(folder.name)

    def python(self, text, *args, **kw):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("CASTOFF_", "LAB_"))}
        child = subprocess.Popen([sys.executable, "-B", "-c", text, LAB, *args], stdout=subprocess.PIPE, text=True, env=env, **kw)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        return child

    def test_two_runs_of_one_scenario_keep_their_counts(self):
        scenario = self.dir / "scenarios/s"
        scenario.mkdir(parents=True)
        (scenario / "scenario.toml").write_text('tier = "full"\n')
        # The second one comes when the first has recorded its failure.
        (scenario / "run.sh").write_text("check broken false; touch began; sleep 1; check fine true\n")
        first = self.python(ONE, self.dir, stderr=subprocess.DEVNULL)
        config.wait_for("the first run", 60, (scenario / "began").exists, pause=0.05)
        second = self.python(ONE, self.dir, stderr=subprocess.DEVNULL)
        for child in (first, second):
            self.assertEqual(child.communicate(timeout=60)[0].splitlines()[-1], "counts {'ok': 1, 'fail': 1, 'skip': 0}")
        self.assertEqual(list((self.dir / "run").iterdir()), [])

    def test_half_a_shape_ends_with_its_maker(self):
        maker = self.python(MAKER, self.dir)
        pid = int(maker.stdout.readline())
        half = node.Node(self.dir / "_s", {"pid": pid})
        self.addCleanup(half.stop)
        self.assertTrue(half.running())
        maker.kill()
        maker.wait()
        config.wait_for("the minder has ended it", 30, lambda: not half.running(), pause=0.1)

    def test_half_a_shape_is_no_obstacle(self):
        maker = self.python(MAKER, self.dir)
        pid = int(maker.stdout.readline())
        half = node.Node(self.dir / "_s", {"pid": pid})
        self.addCleanup(half.stop)
        before, config.RUN = config.RUN, self.dir
        try:
            with self.assertRaisesRegex(config.LabError, "exists already"):
                node.create("_s", {"kind": "machine"})
            maker.kill()
            maker.wait()
            node.create("_s", {"kind": "machine"}).down()
            self.assertFalse(half.running())
        finally:
            config.RUN = before

    def command(self, seconds, **kw):
        child = self.python(COMMAND, seconds, **kw)
        self.assertEqual(child.stdout.readline(), "runs\n")
        child.send_signal(signal.SIGHUP)
        return child.stdout.read(), child.wait(timeout=60)

    def test_a_terminal_that_hangs_up(self):
        began = time.monotonic()
        # Also when these tests run under nohup themselves.
        usual = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL)}
        self.assertEqual(self.command("60", **usual), ("cleaned\n", 129))
        self.assertLess(time.monotonic() - began, 50)
        nohup = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)}
        self.assertEqual(self.command("0.5", **nohup)[0], "cleaned\n")


if __name__ == "__main__":
    unittest.main()
