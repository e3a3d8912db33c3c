"""What scenarios are written with, and how they end."""
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

LAB = Path(__file__).resolve().parents[1] / "lab"


class Judge(unittest.TestCase):
    """The judge of the faults, with what the node prints."""

    def judge(self, text, code="0"):
        done = subprocess.run([sys.executable, LAB / "scenarios/verify-faults/judge.py", code], input=text.encode(),
                              stdout=subprocess.PIPE, check=False)
        return done.returncode, done.stdout.decode()

    def fault(self, name, found):
        answer = {"checks": [{"id": found, "rung": "shadow", "status": "fail", "detail": "toml: not so"}]}
        return "@@ %s|shadow-starts|toml\n%s\n@@\n" % (name, json.dumps(answer))

    def test_right_and_wrong(self):
        self.assertEqual(self.judge(self.fault("a", "shadow-starts") + "@@end\n")[0], 0)
        code, told = self.judge(self.fault("a", "shadow-starts") + self.fault("b", "shadow-pod") + "@@end\n")
        self.assertEqual(code, 1)
        self.assertIn("ok    a", told)
        self.assertIn("WRONG b", told)

    def test_the_node_must_come_to_its_end(self):
        one = self.fault("a", "shadow-starts")
        for text, code in (("", "0"), ("@@end\n", "0"), (one, "0"), (one + "@@ b|shadow-pod|x\n@@end\n", "0"), (one + "@@end\n", "255")):
            self.assertEqual(self.judge(text, code)[0], 1, text)

    def test_what_a_node_cannot_have_is_told(self):
        code, told = self.judge("@@skip b|no pids controller\n" + self.fault("a", "shadow-starts") + "@@end\n")
        self.assertEqual(code, 0)
        self.assertIn("skip  b no pids controller", told)

    def test_faults_that_cannot_be_had_are_told_and_the_end_too(self):
        text = (LAB / "scenarios/verify-faults/faults.sh").read_text()
        self.assertTrue(text.endswith("echo @@end\n"))
        self.assertNotRegex(text, r"if want [^;]*&&")


class Ends(unittest.TestCase):
    """How run.sh ends is what its runner sees."""

    def run_sh(self, text):
        with tempfile.TemporaryDirectory() as folder:
            counts = Path(folder, "counts")
            counts.write_text("")
            Path(folder, "run.sh").write_text(text)
            env = dict(os.environ, LAB_RESULTS=folder, LAB_COUNTS=str(counts), SCENARIO_DIR=folder, CASTOFF_LAB_RUN=folder)
            env.pop("CASTOFF_LAB_OWNER", None)
            done = subprocess.run(["bash", "-c", 'source "$1/lib.sh"; cd "$SCENARIO_DIR"; source ./run.sh', "scenario", LAB],
                                  env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            return done.returncode, done.stdout.decode()

    def test_clean_up_keeps_the_code(self):
        clean = "at_end() { echo cleaned; true; }\n"
        # bash ends with 1 or 127 at a variable that is not set, depending on its release.
        for text, codes in (("check one true", [0]), ('check one true; echo "$nothing"', [1, 127]), ("exit 7", [7])):
            code, said = self.run_sh(clean + text)
            self.assertIn(code, codes, said)
            self.assertEqual(said.count("cleaned"), 1, said)

    def test_a_node_that_the_host_cannot_have_is_a_skip(self):
        lab = 'LAB=./lab; printf "#!/bin/sh\\necho lab: CANNOT RUN HERE: no v1 >&2; exit %s\\n" $1 >lab; chmod 755 lab; node_up a; check one true'
        for code, counted in (("3", "skip - CANNOT RUN HERE: no v1"), ("1", "FAIL - node a (a) comes up")):
            self.assertIn(counted, self.run_sh("set -- %s; %s" % (code, lab))[1])

    def test_no_scenario_has_an_end_of_its_own(self):
        for path in sorted((LAB / "scenarios").glob("*/run.sh")):
            self.assertNotRegex(path.read_text(), r"(?m)^\s*trap [^-]", path)


if __name__ == "__main__":
    unittest.main()
