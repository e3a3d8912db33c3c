"""What the Python module does before and after castoff."""
from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os
import stat
import tempfile
import unittest

import load

load.collection()

from ansible_collections.castoff.node.plugins.module_utils import _castoff


class Ended(Exception):
    """How a module ends: with its result."""

    def __init__(self, result):
        super(Ended, self).__init__(result.get("msg"))
        self.result = result


class Module(object):
    """As much of AnsibleModule as the shim uses; runs programs for real."""

    def __init__(self, check_mode=False, **params):
        self.params = params
        self.check_mode = check_mode
        self._diff = True
        self.found = None
        self.warned = []

    def get_bin_path(self, name):
        return self.found

    def run_command(self, args, data=None, binary_data=False):
        import subprocess

        ran = subprocess.run(args, input=data.encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        return ran.returncode, ran.stdout.decode(), ran.stderr.decode()

    def warn(self, text):
        self.warned.append(text)

    def exit_json(self, **result):
        raise Ended(result)

    def fail_json(self, **result):
        raise Ended(dict(result, failed=True))


def program(folder, text):
    path = os.path.join(folder, "castoff")
    with open(path, "w") as f:
        f.write("#!/bin/sh\n" + text)
    os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
    return path


class Request(unittest.TestCase):
    def test_only_what_was_given_and_ansibles_own_keys(self):
        asked = _castoff.request("castoff.node.runtime", {"state": "planned", "goal": None, "executable": "/x"}, True, False)
        self.assertEqual(asked, {"state": "planned", "_ansible_module_name": "castoff.node.runtime",
                                 "_ansible_check_mode": True, "_ansible_diff": False})

    def test_assumed_values_are_text(self):
        asked = _castoff.request("x.y.runtime", {"assume": {"docker.version": 20.1, "a": True, "b": "c"}}, False, False)
        self.assertEqual(asked["assume"], {"docker.version": "20.1", "a": "true", "b": "c"})

    def test_false_is_not_left_out(self):
        self.assertIs(_castoff.request("x", {"trial": False}, False, False)["trial"], False)


class Answer(unittest.TestCase):
    def test_a_result_is_passed_on(self):
        result = _castoff.answer('{"changed": true, "outcome": "applied"}', 0, "talk", "castoff")
        self.assertEqual(result, {"changed": True, "outcome": "applied"})

    def test_a_failure_keeps_its_message_and_brings_the_talk(self):
        result = _castoff.answer('{"failed": true, "changed": false, "msg": "m", "exit_code": 4}', 4, "one\ntwo", "castoff")
        self.assertEqual((result["msg"], result["exit_code"], result["log"]), ("m", 4, ["one", "two"]))

    def test_an_exit_status_without_failed_is_a_failure(self):
        result = _castoff.answer('{"changed": false}', 3, "", "castoff")
        self.assertTrue(result["failed"])
        self.assertIn("exit code 3", result["msg"])

    def test_no_json_is_a_failure_with_the_last_word(self):
        result = _castoff.answer("", 101, "thread panicked\nat the end\n", "/usr/bin/castoff")
        self.assertTrue(result["failed"])
        self.assertIn("cause: at the end", result["msg"])
        self.assertIn("/usr/bin/castoff", result["msg"])
        self.assertEqual(result["exit_code"], 101)

    def test_json_that_is_no_object_is_no_answer(self):
        for out in ("[]", "3", "null", '"failed"'):
            self.assertTrue(_castoff.answer(out, 0, "", "castoff")["failed"], out)


class Run(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def ended(self, module):
        with self.assertRaises(Ended) as caught:
            _castoff.run(module, "castoff.node.runtime")
        return caught.exception.result

    def test_the_request_goes_to_standard_input(self):
        saved = os.path.join(self.folder, "stdin")
        path = program(self.folder, 'cat >%s; echo "{\\"changed\\": true, \\"args\\": \\"$*\\"}"; echo talk >&2\n' % saved)
        result = self.ended(Module(executable=path, state="migrated", check_mode=True))
        self.assertEqual(result, {"changed": True, "args": "ansible -"})
        with open(saved) as f:
            asked = json.load(f)
        self.assertEqual(asked, {"state": "migrated", "_ansible_module_name": "castoff.node.runtime",
                                 "_ansible_check_mode": True, "_ansible_diff": True})

    def test_a_failure_fails_the_module(self):
        path = program(self.folder, """echo '{"failed": true, "changed": false, "msg": "no", "run_id": "r"}'; exit 4\n""")
        result = self.ended(Module(executable=path, state="migrated"))
        self.assertTrue(result["failed"])
        self.assertEqual((result["msg"], result["run_id"], result["exit_code"]), ("no", "r", 4))

    def test_warnings_go_to_ansible(self):
        module = Module(executable=program(self.folder, """echo '{"changed": false, "warnings": ["one", "two"]}'\n"""))
        self.assertEqual(self.ended(module), {"changed": False})
        self.assertEqual(module.warned, ["one", "two"])

    def test_an_executable_that_is_not_there_is_not_replaced_by_another(self):
        module = Module(executable=os.path.join(self.folder, "nothing"))
        module.found = program(self.folder, "echo {}\n")
        result = self.ended(module)
        self.assertIn("nothing", result["msg"])

    def test_without_an_executable_path_is_searched(self):
        module = Module()
        module.found = program(self.folder, """echo '{"changed": false, "here": 1}'\n""")
        self.assertEqual(self.ended(module), {"changed": False, "here": 1})

    def test_nowhere_tells_what_to_do(self):
        places, _castoff.PLACES = _castoff.PLACES, (os.path.join(self.folder, "a"), os.path.join(self.folder, "b"))
        self.addCleanup(setattr, _castoff, "PLACES", places)
        result = self.ended(Module())
        self.assertIn("castoff.node.install", result["msg"])


if __name__ == "__main__":
    unittest.main()
