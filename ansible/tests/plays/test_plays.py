"""The collection's playbooks, run by a real ansible-playbook on nodes that are folders, with a castoff that is a script.

tests/run.sh sets ANSIBLE_BIN (a folder with ansible-playbook) and COLLECTIONS (where the collection is installed).
Each test says what became of the nodes, of the recap and of the files on the controller.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

BIN = os.environ["ANSIBLE_BIN"]
COLLECTIONS = os.environ["COLLECTIONS"]
UNIT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "unit")
PROGRAMS = tempfile.TemporaryDirectory()
FAKE = os.path.join(PROGRAMS.name, "castoff")
subprocess.run([sys.executable, os.path.join(UNIT, "fake_castoff.py"), "--make", FAKE], check=True)
GROUPS = {"castoff_canary": ["a"], "castoff_control_plane": ["c"], "castoff_workers": ["w1", "w2"]}
NODES = [node for nodes in GROUPS.values() for node in nodes]


class FleetCase(unittest.TestCase):
    """A fleet of folders, and ansible-playbook on it."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = folder.name
        self.reports = os.path.join(self.dir, "reports")
        for node in NODES:
            os.makedirs(os.path.join(self.dir, node))
            self.set_node(node, runtime="docker")
        self.vars = {
            "ansible_connection": "local", "ansible_python_interpreter": sys.executable, "castoff_executable": FAKE,
            "castoff_controller_binary": FAKE, "castoff_root": self.dir + "/{{ inventory_hostname }}", "castoff_soak_seconds": 0,
            "castoff_report_dir": self.reports,
        }
        self.hosts = {}
        self.path = os.environ["PATH"]

    # -- nodes --------------------------------------------------------------------------------------------------------

    def set_node(self, name, **state):
        path = os.path.join(self.dir, name, "node.json")
        if os.path.exists(path):
            with open(path) as f:
                state = dict(json.load(f), **state)
        with open(path, "w") as f:
            json.dump(state, f)

    def node(self, name):
        with open(os.path.join(self.dir, name, "node.json")) as f:
            return json.load(f)

    def runtimes(self):
        return {name: self.node(name)["runtime"] for name in NODES}

    def record(self, name, folder="nodes"):
        with open(os.path.join(self.reports, folder, name + ".json")) as f:
            return json.load(f)

    def report_files(self):
        return sorted(os.path.relpath(os.path.join(at, name), self.reports)
                      for at, _, names in os.walk(self.reports) for name in names)

    # -- plays --------------------------------------------------------------------------------------------------------

    def play(self, playbook, *args, expect=0, **extra):
        inventory = {"all": {"vars": self.vars, "children": {
            group: {"hosts": {node: self.hosts.get(node, {}) for node in nodes}} for group, nodes in GROUPS.items()}}}
        path = os.path.join(self.dir, "inventory.json")
        with open(path, "w") as f:
            json.dump(inventory, f)
        env = dict(os.environ, ANSIBLE_COLLECTIONS_PATH=COLLECTIONS, ANSIBLE_HOME=self.dir + "/home", ANSIBLE_NOCOLOR="1",
                   ANSIBLE_LOCALHOST_WARNING="0", ANSIBLE_FORKS="4", ANSIBLE_PIPELINING="1", ANSIBLE_RETRY_FILES_ENABLED="0", HOME=self.dir,
                   PATH=self.path)
        env.pop("ANSIBLE_CONFIG", None)
        extra = dict({"castoff_become": False}, **extra)
        command = [os.path.join(BIN, "ansible-playbook"), "-i", path, "-e", json.dumps(extra), playbook] + list(args)
        ran = subprocess.run(command, env=env, cwd=self.dir, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, universal_newlines=True, check=False)
        self.output = ran.stdout
        self.assertEqual(ran.returncode, expect, ran.stdout[-6000:])
        self.assertEqual([line for line in ran.stdout.splitlines() if "DEPRECATION" in line], [])
        return ran.stdout

    def recap(self, word):
        return {host: int(count) for host, count in re.findall(r"^(\S+) +: ok=.* %s=(\d+)" % word, self.output, re.M)}

    def changed(self):
        return sorted(host for host, count in self.recap("changed").items() if count)

    def failed(self):
        return sorted(host for host, count in self.recap("failed").items() if count)


class Fleet(FleetCase):
    def test_preflight_saves_what_is_to_be_reviewed_and_changes_nothing(self):
        self.play("castoff.node.preflight")
        self.assertEqual(self.changed(), [])
        self.assertEqual(set(self.runtimes().values()), {"docker"})
        files = self.report_files()
        for name in NODES:
            self.assertIn("plans/%s.json" % name, files)
            self.assertIn("preflight/%s.json" % name, files)
        with open(os.path.join(self.reports, "plans", "a.diff")) as f:
            self.assertIn("+disabled_plugins = []", f.read())
        with open(os.path.join(self.reports, "preflight.txt")) as f:
            self.assertEqual(len(f.read().split("\n")), len(NODES) + 1)
        self.assertEqual(self.record("a", "preflight")["action"], "planned")
        self.assertEqual(os.stat(os.path.join(self.reports, "plans", "a.json")).st_mode & 0o777, 0o600)

    def test_preflight_says_all_that_is_wrong_at_once(self):
        self.set_node("c", fail="blocked")
        self.hosts["w1"] = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
        self.play("castoff.node.preflight", expect=2)
        self.assertIn("forbids a migration on 2 of 4 nodes", self.output)
        self.assertIn("findings block the migration of c: fake-block", self.output)
        self.assertIn("w1 is unreachable", self.output)
        self.assertTrue(self.record("w1", "preflight")["unreachable"])
        self.assertIn("fix: tell it otherwise", self.record("c", "preflight")["error"])
        self.assertIn("plans/a.json", self.report_files())

    def test_a_rollout_does_nothing_while_preflight_finds_something(self):
        self.set_node("w2", fail="blocked")
        self.play("castoff.node.rollout", expect=2)
        self.assertEqual(set(self.runtimes().values()), {"docker"})
        self.assertNotIn("PLAY [Canary]", self.output)

    def test_a_finding_that_is_accepted_does_not_block(self):
        self.set_node("w1", fail="blocked")
        self.play("castoff.node.preflight", "--limit", "w1", castoff_skip_checks=["fake-block"])
        self.play("castoff.node.rollout", "--limit", "w1", castoff_skip_checks=["fake-block"])
        self.assertEqual(self.node("w1")["runtime"], "containerd")

    def test_a_run_that_did_not_come_to_its_end_is_told_before_anything_is_done(self):
        self.set_node("w1", fail="dirty")
        self.play("castoff.node.rollout", "--limit", "w*", expect=2)
        self.assertIn("w1 has a run that did not come to its end", self.output)
        self.assertEqual(set(self.runtimes().values()), {"docker"})

    def test_a_run_that_waits_is_kept_by_the_next_rollout(self):
        for node, state in (("w1", "applied"), ("w2", "committed")):
            self.set_node(node, runtime="containerd", runs=[{"id": "run0", "state": state}])
        self.play("castoff.node.rollout", "--limit", "w*", "--check", castoff_try_for="10m")
        self.assertEqual(self.node("w1")["runs"][0]["state"], "applied")
        self.play("castoff.node.rollout", "--limit", "w*", castoff_try_for="10m", castoff_commit=False)
        self.assertEqual(self.node("w1")["runs"][0]["state"], "applied")
        self.play("castoff.node.rollout", "--limit", "w*", castoff_try_for="10m")
        self.assertEqual(self.node("w1")["runs"][0]["state"], "committed")
        self.assertEqual(self.changed(), ["w1"])

    def test_check_mode_predicts_and_touches_nothing(self):
        self.set_node("c", runtime="containerd")
        before = self.runtimes()
        self.play("castoff.node.rollout", "--check", "--diff")
        predicted = self.changed()
        self.assertEqual(self.runtimes(), before)
        self.assertFalse(os.path.exists(self.reports))
        self.assertIn("+disabled_plugins = []", self.output)
        self.play("castoff.node.rollout")
        self.assertEqual(self.changed(), predicted)
        self.assertEqual(predicted, ["a", "w1", "w2"])
        self.assertEqual(set(self.runtimes().values()), {"containerd"})
        self.play("castoff.node.rollout")
        self.assertEqual(self.changed(), [])
        self.assertEqual(self.record("a")["result"]["outcome"], "no-change")

    def test_a_used_up_budget_stops_and_running_again_goes_on(self):
        self.set_node("w1", fail="rolled-back")
        self.play("castoff.node.rollout", "--limit", "a,w*", expect=2)
        self.assertEqual(self.runtimes(), {"a": "containerd", "c": "docker", "w1": "docker", "w2": "docker"})
        self.assertEqual(self.failed(), ["w1"])
        record = self.record("w1")
        self.assertRegex(record["recorded"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertEqual((record["result"]["outcome"], record["wave"], record["result"]["exit_code"]), ("rolled-back", "workers", 4))
        self.assertEqual(record["result"]["report"]["outcome"], "rolled-back")
        for part in ("did not start", "cause:", "hint:"):
            self.assertIn(part, record["error"])
        with open(os.path.join(self.reports, "fleet.retry")) as f:
            self.assertEqual(f.read(), "w1\n")
        self.set_node("w1", fail="")
        self.play("castoff.node.rollout", "--limit", "w*")
        self.assertEqual(self.changed(), ["w1", "w2"])

    def test_a_budget_that_is_left_goes_on(self):
        self.set_node("w1", fail="rolled-back")
        # One of two is not more than 50 percent.
        self.play("castoff.node.rollout", "--limit", "w*", expect=2, castoff_waves=["100%"], castoff_max_fail_percentage=50)
        self.assertEqual(self.failed(), ["w1"])
        self.assertEqual(self.record("w1")["result"]["outcome"], "rolled-back")
        self.assertEqual((self.node("w1")["runtime"], self.node("w2")["runtime"]), ("docker", "containerd"))

    def test_a_proof_that_fails_later_takes_the_node_back(self):
        self.set_node("a", fail="verify")
        self.play("castoff.node.rollout", "--limit", "a,c", expect=2)
        self.assertEqual(self.node("a")["runtime"], "docker")
        self.assertEqual(self.node("a")["runs"][-1]["state"], "rolled-back")
        record = self.record("a")
        self.assertEqual((record["result"]["outcome"], record["rollback"]["outcome"]), ("applied", "rolled-back"))
        self.assertIn("checks failed", record["error"])
        self.assertEqual(self.node("c")["runtime"], "docker")

    def test_try_for_is_committed_once_all_is_proven(self):
        self.vars["castoff_try_for"] = "10m"
        self.play("castoff.node.rollout", "--limit", "a")
        self.assertEqual([run["state"] for run in self.node("a")["runs"]], ["committed"])

    def test_only_the_reviewed_plan_is_applied(self):
        self.play("castoff.node.preflight", "--limit", "w*", expect=2, castoff_require_reviewed_plan=True, castoff_in_rollout=True)
        self.assertIn("there is no reviewed plan", self.output)
        self.play("castoff.node.preflight", "--limit", "w*")
        self.set_node("w2", content="somebody was here")
        self.play("castoff.node.rollout", "--limit", "w*", expect=2, castoff_require_reviewed_plan=True)
        self.assertIn("the plan of w2 is not the one that was reviewed", self.output)
        self.assertEqual(set(self.runtimes().values()), {"docker"})
        self.play("castoff.node.preflight", "--limit", "w*")
        self.play("castoff.node.rollout", "--limit", "w*", castoff_require_reviewed_plan=True)
        self.assertEqual((self.node("w1")["runtime"], self.node("w2")["runtime"]), ("containerd", "containerd"))
        # Nodes that are done have another plan by now, an empty one.
        self.play("castoff.node.rollout", "--limit", "w*", castoff_require_reviewed_plan=True)
        self.assertEqual(self.changed(), [])

    def test_the_engine_itself_refuses_another_plan(self):
        playbook = os.path.join(self.dir, "one.yml")
        with open(playbook, "w") as f:
            json.dump([{"hosts": "a", "gather_facts": False, "tasks": [{"castoff.node.runtime": {
                "state": "migrated", "plan_digest": "sha256:00", "executable": FAKE, "root": self.dir + "/a"}}]}], f)
        self.play(playbook, expect=2)
        self.assertIn("the plan is another one", self.output)
        self.assertEqual(self.node("a")["runtime"], "docker")

    def test_without_python_castoff_itself_is_the_module(self):
        self.hosts["w1"] = {"ansible_python_interpreter": "/nowhere/python", "castoff_executable": "/nowhere/castoff"}
        self.vars["castoff_binaries"] = {os.uname().machine: FAKE}
        self.set_node("w1", log=os.path.join(self.dir, "log"))
        self.play("castoff.node.rollout", "--limit", "w1", "--check", "--diff")
        self.assertEqual(self.node("w1")["runtime"], "docker")
        self.play("castoff.node.rollout", "--limit", "w*")
        self.assertEqual((self.node("w1")["runtime"], self.node("w2")["runtime"]), ("containerd", "containerd"))
        self.assertEqual((self.record("w1")["result"]["door"], self.record("w2")["result"]["door"]), ("binary", "python"))
        with open(os.path.join(self.dir, "log")) as f:
            programs = {os.path.basename(json.loads(line)["program"]) for line in f}
        self.assertEqual(programs, {"AnsiballZ_runtime"})
        self.play("castoff.node.rollout", "--limit", "w*")
        self.assertEqual(self.changed(), [])

    def test_an_unreachable_node_is_in_the_report(self):
        self.hosts["w1"] = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
        self.play("castoff.node.rollout", "--limit", "w*", expect=2, castoff_preflight_fatal=False, castoff_waves=["100%"],
                  castoff_max_fail_percentage=50)
        self.assertTrue(self.record("w1")["unreachable"])
        self.assertIn("w1 is unreachable", self.record("w1")["error"])
        self.assertIn("recorded", self.record("w1"))
        self.assertEqual(self.failed(), ["w1"])
        self.assertEqual(self.node("w2")["runtime"], "containerd")
        with open(os.path.join(self.reports, "fleet.txt")) as f:
            self.assertIn("w1", f.read())

    def test_a_record_of_an_earlier_rollout_hides_no_node_that_is_lost(self):
        self.play("castoff.node.rollout", "--limit", "w*")
        self.assertEqual(self.record("w1")["result"]["outcome"], "applied")
        self.hosts["w1"] = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
        self.play("castoff.node.rollout", "--limit", "w*", expect=2, castoff_preflight_fatal=False, castoff_waves=["100%"],
                  castoff_max_fail_percentage=50)
        self.assertTrue(self.record("w1")["unreachable"])

    def test_rollback_and_report(self):
        self.play("castoff.node.rollout", "--limit", "w*")
        self.play("castoff.node.rollback", "--check", "--limit", "w*")
        self.assertEqual(self.changed(), ["w1", "w2"])
        self.assertEqual(self.node("w1")["runtime"], "containerd")
        self.play("castoff.node.rollback", "--limit", "w*")
        self.assertEqual(self.changed(), ["w1", "w2"])
        self.assertEqual(self.node("w1")["runtime"], "docker")
        self.assertEqual(self.record("w1")["action"], "rolled_back")
        self.play("castoff.node.rollback", "--limit", "w*")
        self.assertEqual(self.changed(), [])
        os.unlink(os.path.join(self.reports, "nodes", "w2.json"))
        os.unlink(os.path.join(self.reports, "fleet.html"))
        self.play("castoff.node.report")
        self.assertIn("no record yet: a, c, w2", self.output)
        self.assertIn("fleet.html", self.report_files())

    def test_without_a_castoff_on_the_controller_the_records_are_kept(self):
        self.vars["castoff_controller_binary"] = "/nowhere/castoff"
        self.play("castoff.node.rollout", "--limit", "w1")
        self.assertIn("No report is made of them", self.output)
        self.assertEqual(self.record("w1")["result"]["outcome"], "applied")
        self.play("castoff.node.rollout", "--limit", "w1", expect=2, castoff_report=True)

    def test_install(self):
        there = os.path.join(self.dir, "there")
        arch = os.uname().machine
        self.vars.update(castoff_install_path=there, castoff_binaries={arch: FAKE}, castoff_executable=there)
        only = ["--limit", "a"]
        self.play("castoff.node.preflight", *only, castoff_install=True, castoff_checksums={arch: "0" * 64}, expect=2)
        self.assertIn("castoff_checksums says 0000", self.output)
        self.assertFalse(os.path.exists(there))
        self.play("castoff.node.preflight", *only, castoff_install=True)
        self.assertEqual(self.changed(), ["a"])
        with open(there, "rb") as f, open(FAKE, "rb") as g:
            self.assertEqual(f.read(), g.read())
        self.play("castoff.node.preflight", *only, castoff_install=True)
        self.assertEqual(self.changed(), [])
        self.play("castoff.node.preflight", *only, castoff_install=True, castoff_binaries={"vax": FAKE}, expect=2)
        self.assertIn("the node's architecture is %s; castoff_binaries has vax" % arch, self.output)

    def test_a_package_whose_upgrade_failed_is_installed_by_the_next_run(self):
        # dpkg, where a package is a file with its version, and the machine is a folder.
        tools = os.path.join(self.dir, "tools")
        os.makedirs(tools)
        database = os.path.join(self.dir, "database")
        for name, script in (
                ("dpkg-deb", 'for file; do :; done\nprintf "installed %s" "$(cat "$file")"'),
                ("dpkg-query", 'test -e DATABASE && printf "installed %s" "$(cat DATABASE)"'),
                ("dpkg", 'test ! -e DATABASE.lock || { echo "locked" >&2; exit 2; }\ncp "$2" DATABASE')):
            path = os.path.join(tools, name)
            with open(path, "w") as f:
                f.write("#!/bin/sh\n" + script.replace("DATABASE", database) + "\n")
            os.chmod(path, 0o755)
        package = os.path.join(self.dir, "castoff.deb")
        self.vars.update(castoff_packages={os.uname().machine: package}, castoff_package_dir=os.path.join(self.dir, "there"))
        # Tools of the machine itself must not be met, and ssh and sudo keep no PATH: Ansible sets it for each task.
        self.path = tools + ":" + os.environ["PATH"]

        def install(version, expect=0):
            with open(package, "w") as f:
                f.write(version)
            self.play("castoff.node.preflight", "--limit", "a", castoff_install=True, expect=expect)

        install("0.1.0")
        self.assertEqual(self.changed(), ["a"])
        install("0.1.0")
        self.assertEqual(self.changed(), [])
        open(database + ".lock", "w").close()
        install("0.2.0", expect=2)
        os.unlink(database + ".lock")
        install("0.2.0")
        with open(database) as f:
            self.assertEqual(f.read(), "0.2.0")
        with open(database, "w") as f:
            f.write("0.1.0")
        install("0.2.0")
        self.assertEqual(self.changed(), ["a"])

    def test_wrong_settings_are_refused_before_anything_is_done(self):
        self.play("castoff.node.rollout", "--limit", "a", expect=2, castoff_preflight_fatal=False, castoff_verify_level="thorough")
        self.assertIn("thorough", self.output)
        self.assertEqual(set(self.runtimes().values()), {"docker"})


if __name__ == "__main__":
    unittest.main()
