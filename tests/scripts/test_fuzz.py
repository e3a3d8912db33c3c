"""What the fuzzer begins with."""
import json
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def seeds(folder, script=ROOT / "fuzz/run"):
    done = subprocess.run([script, "--seeds"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                          env=dict(os.environ, CASTOFF_FUZZ_DIR=str(folder)))
    return done.returncode, done.stdout


class Seeds(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = Path(folder.name)

    def test_every_target_has_some(self):
        code, told = seeds(self.dir)
        self.assertEqual(code, 0, told)
        targets = {path.stem for path in (ROOT / "fuzz/fuzz_targets").glob("*.rs")}
        self.assertEqual({line.split()[0] for line in told.splitlines()}, targets)
        # One of its own is a whole one, as short as the fuzzer cuts it.
        lengths = {"journal": 1024}
        for path in (ROOT / "fuzz/seeds").iterdir():
            own = path.read_text().rstrip("\n").split("\n\n")
            laid = [(self.dir / "seeds" / path.name / ("own-%d" % n)).read_text() for n in range(1, len(own) + 1)]
            self.assertEqual(laid, own)
            self.assertLessEqual(max(map(len, own)), lengths.get(path.name, 256), path)
        for seed in (ROOT / "fuzz/seeds/journal").read_text().split("\n"):
            json.loads("{%s}" % seed)

    def test_without_any_nothing_is_run(self):
        (self.dir / "fuzz").mkdir()
        (self.dir / "tests/fixtures").mkdir(parents=True)
        shutil.copy(ROOT / "fuzz/run", self.dir / "fuzz/run")
        (self.dir / "fuzz/Cargo.toml").write_text('path = "fuzz_targets/new.rs"\n')
        code, told = seeds(self.dir / "out", self.dir / "fuzz/run")
        self.assertEqual(code, 1)
        self.assertIn("new has no seeds", told)


if __name__ == "__main__":
    unittest.main()
