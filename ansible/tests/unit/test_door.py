"""The choice of the door, and the binary door on this machine in place of a node."""
from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from types import SimpleNamespace

import fake_castoff
import load

load.collection()

from ansible.errors import AnsibleActionFail
from ansible_collections.castoff.node.plugins.plugin_utils import _door

PROGRAMS = tempfile.TemporaryDirectory()
FAKE = fake_castoff.make(os.path.join(PROGRAMS.name, "castoff"))


class Templar(object):
    """Values are texts and dictionaries here, nothing has to be filled in."""

    def template(self, value):
        return value


class Shell(object):
    tmpdir = None

    def join_path(self, *parts):
        return os.path.join(*parts)


class LocalAction(_door.DoorAction):
    """Runs the commands for real; only connections and Ansible's own modules are stood in for."""

    MODULE = "castoff.node.runtime"

    def __init__(self, folder, args, check_mode=False, async_val=0, delegate_to=None):
        self._task = SimpleNamespace(args=args, check_mode=check_mode, diff=True, async_val=async_val, action=self.MODULE,
                                     delegate_to=delegate_to, environment=[])
        self._connection = SimpleNamespace(_shell=Shell(), has_native_async=False)
        self._templar = Templar()
        self.folder = folder
        self.commands, self.sent, self.python, self.removed = [], [], [], []

    def _make_tmp_path(self, remote_user=None):
        self._connection._shell.tmpdir = tempfile.mkdtemp(dir=self.folder)

    def _remove_tmp_path(self, tmp_path, force=False):
        self.removed.append(tmp_path)
        if tmp_path:
            shutil.rmtree(tmp_path)

    def _transfer_file(self, local_path, remote_path):
        shutil.copy(local_path, remote_path)
        self.sent.append(os.path.basename(remote_path))

    def _transfer_data(self, remote_path, data):
        with open(remote_path, "w") as f:
            f.write(data)

    def _fixup_perms2(self, remote_paths, remote_user=None, execute=True):
        for path in remote_paths:
            os.chmod(path, 0o700)

    def _get_remote_user(self):
        return None

    def _compute_environment_string(self, raw_environment_out=None):
        return ""

    def _low_level_execute_command(self, cmd, **kwargs):
        self.commands.append(cmd)
        ran = subprocess.run(["/bin/sh", "-c", cmd], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             check=False)
        return {"rc": ran.returncode, "stdout": "Welcome!\n" + ran.stdout.decode(), "stderr": ran.stderr.decode()}

    def _execute_module(self, module_name=None, task_vars=None, wrap_async=False, **kwargs):
        self.python.append((module_name, bool(wrap_async)))
        return {"changed": False}


class Probe(unittest.TestCase):
    def look(self, pythons, cached="/nowhere"):
        out = subprocess.run(["/bin/sh", "-c", _door.probe_command(pythons, cached)], stdout=subprocess.PIPE, check=True).stdout
        return _door.probed(out)

    def test_a_python_is_found(self):
        found = self.look([["/nowhere/python"], [sys.executable]])
        self.assertTrue(found["python"])
        self.assertEqual(found["arch"], os.uname().machine)
        self.assertEqual(found["sum"], "")

    def test_none_is_found(self):
        self.assertFalse(self.look([["/nowhere/python"], ["false"]])["python"])

    def test_a_python_without_its_library_is_not_usable(self):
        self.assertFalse(self.look([["env", "PYTHONHOME=/nowhere", sys.executable]])["python"])

    def test_the_checksum_is_that_of_the_file(self):
        self.assertEqual(self.look([], FAKE)["sum"], _door.checksum(FAKE))

    def test_a_banner_does_no_harm(self):
        self.assertEqual(_door.probed("arch is a nice word\n\narch x86_64\nsum\npython no\n"),
                         {"arch": "x86_64", "sum": "", "python": False})

    def test_the_interpreter_of_the_inventory_is_the_only_one(self):
        self.assertEqual(_door.interpreters({"ansible_python_interpreter": "/usr/bin/env python3"}, ["x"]),
                         [["/usr/bin/env", "python3"]])
        self.assertEqual(_door.interpreters({"ansible_python_interpreter": "auto_silent"}, ["x"])[0], ["x"])


class Choice(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.node = os.path.join(self.folder, "node")
        os.mkdir(self.node)
        self.set_node(runtime="docker")
        self.vars = {"castoff_binaries": {os.uname().machine: FAKE}, "castoff_remote_dir": os.path.join(self.folder, "bin"),
                     "ansible_python_interpreter": "/nowhere/python"}

    def set_node(self, **state):
        with open(os.path.join(self.node, "node.json"), "w") as f:
            json.dump(state, f)

    def runtime(self):
        with open(os.path.join(self.node, "node.json")) as f:
            return json.load(f)["runtime"]

    def action(self, args=None, **task):
        return LocalAction(self.folder, dict({"root": self.node}, **(args or {})), **task)

    def test_without_binaries_nothing_is_asked(self):
        action = self.action()
        self.assertEqual(action.run(task_vars={})["door"], "python")
        self.assertEqual(action.python, [("castoff.node.runtime", False)])
        self.assertEqual(action.commands, [])

    def test_python_when_there_is_one(self):
        action = self.action()
        action.run(task_vars=dict(self.vars, ansible_python_interpreter=sys.executable))
        self.assertEqual(len(action.python), 1)

    def test_a_python_that_ansible_has_found_is_not_looked_for_again(self):
        action = self.action()
        action.run(task_vars=dict(self.vars, ansible_facts={"discovered_interpreter_python": "/usr/bin/python3"}))
        self.assertEqual((len(action.python), action.commands), (1, []))

    def test_binary_when_there_is_no_python(self):
        action = self.action()
        result = action.run(task_vars=self.vars)
        self.assertEqual((result["door"], result["changed"], action.python), ("binary", False, []))
        self.assertEqual(action.sent, ["AnsiballZ_runtime"])
        self.assertEqual(os.listdir(self.folder), ["node"], "the temporary folder is gone, and nothing else was made")

    def test_python_when_it_is_wanted_although_there_is_none(self):
        action = self.action()
        action.run(task_vars=dict(self.vars, castoff_door="python"))
        self.assertEqual(len(action.python), 1)

    def test_binary_when_it_is_wanted_although_there_is_a_python(self):
        action = self.action()
        result = action.run(task_vars=dict(self.vars, castoff_door="binary", ansible_python_interpreter=sys.executable))
        self.assertEqual(result["door"], "binary")

    def test_the_variables_of_the_host_it_is_delegated_to_count(self):
        action = self.action(delegate_to="other")
        result = action.run(task_vars={"ansible_delegated_vars": {"other": self.vars}})
        self.assertEqual(result["door"], "binary")

    def test_check_mode_arrives(self):
        self.assertTrue(self.action({"state": "migrated"}, check_mode=True).run(task_vars=self.vars)["changed"])
        self.assertEqual(self.runtime(), "docker")
        result = self.action({"state": "migrated"}).run(task_vars=self.vars)
        self.assertEqual((result["changed"], result["outcome"], self.runtime()), (True, "applied", "containerd"))
        self.assertFalse(self.action({"state": "migrated"}).run(task_vars=self.vars)["changed"])

    def test_what_may_end_a_run_later_is_put_where_it_lasts(self):
        os.environ["FAKE_CASTOFF_ROOT"] = self.node
        self.addCleanup(os.environ.pop, "FAKE_CASTOFF_ROOT")
        cached = os.path.join(self.folder, "bin", "castoff")

        def live(**more):
            action = LocalAction(self.folder, {"state": more.pop("state")}, **more)
            return action, action.run(task_vars=self.vars)

        live(state="migrated", check_mode=True)
        live(state="planned")
        self.assertFalse(os.path.exists(cached))
        action, result = live(state="migrated")
        self.assertEqual(result["outcome"], "applied")
        self.assertEqual(_door.checksum(cached), _door.checksum(FAKE))
        self.assertEqual(os.listdir(os.path.dirname(cached)), ["castoff"])
        # From now on nothing has to be sent, not even for a look.
        action, result = live(state="planned")
        self.assertEqual((action.sent, result["door"]), ([], "binary"))

    def test_another_castoff_than_the_controllers_is_replaced(self):
        os.environ["FAKE_CASTOFF_ROOT"] = self.node
        self.addCleanup(os.environ.pop, "FAKE_CASTOFF_ROOT")
        cached = os.path.join(self.folder, "bin", "castoff")
        os.mkdir(os.path.dirname(cached))
        with open(cached, "w") as f:
            f.write("an old one")
        action = LocalAction(self.folder, {"state": "migrated"})
        self.assertEqual(action.run(task_vars=self.vars)["outcome"], "applied")
        self.assertEqual(_door.checksum(cached), _door.checksum(FAKE))

    def test_a_failure_comes_home_whole(self):
        self.set_node(runtime="docker", fail="rolled-back")
        result = self.action({"state": "migrated"}).run(task_vars=self.vars)
        self.assertTrue(result["failed"])
        self.assertEqual((result["exit_code"], result["outcome"], result["report"]["kind"]), (4, "rolled-back", "RunReport"))
        self.assertIn("hint:", result["msg"])
        self.assertEqual(result["log"], ["this is talk"])

    def test_no_json_is_a_failure(self):
        self.set_node(runtime="docker", fail="garbage")
        result = self.action({"state": "migrated"}).run(task_vars=self.vars)
        self.assertTrue(result["failed"])
        self.assertIn("cause: error: nobody expected this", result["msg"])

    def test_an_unknown_option_is_refused_by_castoff(self):
        result = self.action({"sate": "migrated"}).run(task_vars=self.vars)
        self.assertTrue(result["failed"])
        self.assertIn("sate", result["msg"])

    def refused(self, **more):
        task = {key: more.pop(key) for key in ("async_val",) if key in more}
        action = self.action(**task)
        with self.assertRaises(AnsibleActionFail) as caught:
            action.run(task_vars=dict(self.vars, **more))
        return str(caught.exception)

    def test_an_architecture_without_a_binary(self):
        text = self.refused(castoff_binaries={"vax": FAKE})
        self.assertIn(os.uname().machine, text)
        self.assertIn("vax", text)

    def test_a_binary_that_is_not_on_the_controller(self):
        self.assertIn("/nowhere/castoff", self.refused(castoff_binaries={os.uname().machine: "/nowhere/castoff"}))

    def test_a_door_that_there_is_not(self):
        self.assertIn("window", self.refused(castoff_door="window"))

    def test_the_binary_door_without_binaries(self):
        self.assertIn("castoff_binaries", self.refused(castoff_door="binary", castoff_binaries={}))

    def test_a_node_where_no_command_runs(self):
        action = self.action()
        action._low_level_execute_command = lambda cmd: {"rc": 127, "stdout": "", "stderr": "sh: 1: sudo: not found\n"}
        with self.assertRaises(AnsibleActionFail) as caught:
            action.run(task_vars=self.vars)
        self.assertIn("cause: sh: 1: sudo: not found", str(caught.exception))

    def test_async_needs_a_python(self):
        self.assertIn("async", self.refused(castoff_door="binary", async_val=10))


if __name__ == "__main__":
    unittest.main()
