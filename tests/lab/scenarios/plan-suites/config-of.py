"""Prints the content a saved plan writes to a path: config-of.py PLAN PATH."""
import json
import sys

plan = json.load(open(sys.argv[1]))
for step in plan["steps"]:
    if step["action"].get("path") == sys.argv[2]:
        sys.stdout.write(step["action"]["content"])
        break
else:
    sys.exit("the plan does not write " + sys.argv[2])
