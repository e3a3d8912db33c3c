"""Reads what faults.sh prints and says of each fault whether castoff named the right culprit, in one line:

    ok|WRONG  FAULT  CHECK: its words
    skip      FAULT  why this node cannot have it

The argument is the code faults.sh ended with in the node.
"""

import json
import re
import sys

RUNGS = ["reference", "runc", "shadow", "handler", "live"]
# Questions to the daemon, which a fault in the node's configuration fails too.
QUESTIONS = ("cri-", "sandbox-")


def judged(fault, wanted, words, text):
    try:
        checks = json.loads(text)["checks"]
    except ValueError:
        return False, "no answer: " + text[:300]
    checks = [c for c in checks if c["rung"] in RUNGS and not c["id"].startswith(QUESTIONS)]
    bad = [c for c in checks if c["status"] == "fail"]
    if not wanted:
        bad += [c for c in checks if c["status"] == "inconclusive"]
        passed = sum(c["status"] == "pass" for c in checks)
        seconds = sum(c["seconds"] for c in checks)
        told = "; ".join(c["id"] + ": " + c["detail"] for c in bad)
        return passed > 9 and not bad, f"{passed} of {len(checks)} passed, {seconds:.1f} s {told}"
    if not bad:
        return False, "nothing failed: " + ", ".join(c["id"] + " " + c["status"] for c in checks)
    first = bad[0]
    right = first["id"] == wanted and re.search(words, first["detail"], re.I)
    return bool(right), first["id"] + ": " + first["detail"]


wrong = told_of = 0
fault, lines, ended = None, [], False
for line in sys.stdin:
    if line.startswith("@@skip "):
        print("skip ", *(word.strip() for word in line[7:].split("|")), flush=True)
    elif line.startswith("@@end"):
        ended = True
    elif line.startswith("@@ ") and not fault:
        fault, lines = line[3:].rstrip("\n").split("|", 2), []
    elif line.startswith("@@") and fault:
        right, told = judged(*fault, "".join(lines))
        wrong += not right
        told_of += 1
        print("ok   " if right else "WRONG", fault[0].ljust(26), " ".join(told.split())[:400], flush=True)
        fault, lines = None, []
    else:
        lines.append(line)
if not ended or fault or not told_of or sys.argv[1:] != ["0"]:
    # Nothing asked is nothing shown, and what stopped half-way says nothing about the rest.
    wrong += 1
    print("WRONG", f"it did not come to its end (exit code {' '.join(sys.argv[1:])}, {told_of} judged)", "".join(lines[-3:])[:400])
sys.exit(1 if wrong else 0)
