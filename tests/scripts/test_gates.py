"""Gates must not pass because what they judge by could not look."""
import os
import stat
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Gates(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = Path(folder.name)
        self.write("bin/none", "")

    def write(self, name, text):
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def functions(self, script, text, path=os.environ["PATH"]):
        """Runs `text` with the functions of a script, in a folder with programs of its own."""
        whole = (ROOT / script).read_text()
        body = whole.removesuffix('main "$@"\n')
        self.assertNotEqual(body, whole)
        done = subprocess.run(["/bin/bash", "-c", body + "\n" + text], cwd=self.dir, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, env=dict(os.environ, PATH="%s:%s" % (self.dir / "bin", path)), check=False)
        return done.returncode, done.stdout.decode()

    def lintian(self, said, code):
        self.write("bin/lintian", "#!/bin/sh\nprintf '%s'\nexit %d\n" % (said, code))
        return self.functions("test.sh", "say() { echo $*; }; check_lintian x.deb && echo passed")

    def test_lintian(self):
        self.assertEqual(self.lintian("", 0), (0, "passed\n"))
        self.assertEqual(self.lintian("I: castoff: mismatched-override x\\n", 2), (0, "passed\n"))
        self.assertEqual(self.lintian("E: castoff: no-copyright-file\\n", 2), (1, "E: castoff: no-copyright-file\n"))
        for code in (1, 255):
            self.assertEqual(self.lintian("", code), (1, "error: lintian: exit code %d\n" % code))

    def test_no_lintian_is_counted(self):
        for program in ("dpkg-deb", "strip"):
            self.write("bin/" + program, "#!/bin/sh\n")
        fakes = 'logged() { :; }; gate() { echo "gate $1"; }; apt_install() { false; }; unavailable() { echo "unavailable $1"; }'
        said = self.functions("test.sh", fakes + "; cache=.; packages_gate", path="/nowhere")
        self.assertEqual(said, (0, "unavailable lintian\ngate packages\n"))

    def test_shell_scripts_are_known_by_name_or_first_line(self):
        for name, text in (("a.sh", "x\n"), ("run", "#!/bin/bash\n"), ("deep/keep", "#! /usr/bin/env sh\n"), ("packaging/scripts/preun.in", "exit 0\n"),
                           ("script.py", "#!/usr/bin/python3\n"), ("text", "x\n#!/bin/sh\n"), ("target/b.sh", "x\n"), ("fuzz/target/b", "#!/bin/sh\n")):
            self.write(name, text)
        self.assertEqual(self.functions("test.sh", "shell_scripts")[1].split(), ["./a.sh", "./deep/keep", "./packaging/scripts/preun.in", "./run"])

    def sanity(self, answer):
        self.write("venv/bin/ansible-test", "#!/bin/sh\ncase $* in *--list-tests) %s ;; *) echo looked ;; esac\n" % answer)
        self.write("venv/bin/python", "#!/bin/sh\necho 3.11\n")
        self.write("collection/galaxy.yml", "")
        setting = "scratch=$(mktemp -d -p .); scratch=$PWD/$scratch; new=$PWD/venv; cache=$PWD/cache; collection=$PWD/collection; bootstrap() { :; }"
        return self.functions("ansible/tests/run.sh", setting + '; sanity; echo "$passed passed, $failed failed"')[1].splitlines()

    def test_a_silent_ansible_test_fails(self):
        self.assertEqual(self.sanity("echo compile; echo pslint; echo import")[1:],
                         ["ok   - sanity: ansible-test tells its tests", "ok   - sanity: compile", "ok   - sanity: import", "3 passed, 0 failed"])
        for answer in ("exit 1", "exit 0", "echo pslint"):
            self.assertEqual(self.sanity(answer)[-1], "0 passed, 1 failed", answer)


if __name__ == "__main__":
    unittest.main()
