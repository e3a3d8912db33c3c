"""What a scenario asks of Ansible's output and of the records: one question for each call."""
import json
import re
import sys
from pathlib import Path


def recap(log, word):
    text = Path(log).read_text()
    return sorted(host for host, count in re.findall(r"^(\S+) +: ok=.* %s=(\d+)" % word, text, re.M) if count != "0")


question, args = sys.argv[1], sys.argv[2:]
if question == "recap":  # LOG changed|failed|unreachable: the hosts that have any
    print(" ".join(recap(*args)))
elif question == "field":  # FILE a.b.c
    value = json.loads(Path(args[0]).read_text())
    for part in args[1].split("."):
        value = value[int(part)] if isinstance(value, list) else value[part]
    print(value if isinstance(value, str) else json.dumps(value))
elif question == "diff":  # LOG PLAN: every line of the plan's diffs is in what Ansible has shown
    shown = set(Path(args[0]).read_text().splitlines())
    wanted, inside = [], False
    for line in Path(args[1]).read_text().splitlines():
        inside = line.startswith("--- /") or inside and line != ""
        if inside and line[:1] in "+-@":
            wanted.append(line)
    missing = [line for line in wanted if line not in shown]
    print("%d lines, missing: %s" % (len(wanted), missing))
    sys.exit(len(wanted) < 10 or bool(missing))
else:
    sys.exit("no question " + question)
