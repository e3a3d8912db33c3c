"""Container nodes: where they can be, and how their end is found again."""
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from lablib import config, container, node, shapes  # noqa: E402


class Hosts(unittest.TestCase):
    def tree(self, *files):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        for name in files:
            path = Path(folder.name, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")
        return mock.patch.object(container, "CGROUPS", Path(folder.name))

    def test_v1_controllers_are_needed(self):
        with self.tree("memory/notify_on_release", "unified/cgroup.controllers"):
            container.need_v1()
        # v2 alone, as such and with systemd's own hierarchy beside it.
        for files in (["cgroup.controllers", "system.slice/cgroup.procs"], ["systemd/notify_on_release", "unified/cgroup.controllers"]):
            with self.tree(*files):
                with self.assertRaises(config.CannotRun):
                    container.need_v1()
                with self.assertRaises(config.CannotRun):
                    shapes.base("bookworm-container")


class Ends(unittest.TestCase):
    def stopped(self, **state):
        with tempfile.TemporaryDirectory() as folder:
            container.Container(folder, dict(state, name="n")).stop()

    def test_the_leader_is_told_by_when_it_began(self):
        child = subprocess.Popen(["sleep", "60"])
        try:
            began = node.began(child.pid)
            # Another process has the pid by now.
            self.stopped(leader=child.pid, leader_began=str(int(began) - 1))
            self.stopped(leader=child.pid)
            self.assertIsNone(child.poll())
            self.stopped(leader=child.pid, leader_began=began)
            self.assertEqual(child.wait(timeout=30), -9)
            self.stopped(leader=child.pid, leader_began=began)
        finally:
            child.kill()
            child.wait()


if __name__ == "__main__":
    unittest.main()
