"""Stands in for castoff where the collection is tested and the node is a folder.

It reads what the collection sends as strictly as the contract says, and answers in the contract's words. A node is a file
`node.json` in the folder that `root` names, or that FAKE_CASTOFF_ROOT names:
{"runtime": "docker" | "containerd", "fail": "" | "blocked" | "rolled-back" | "stuck" | "garbage" | "verify" | "dirty", "runs": [...],
"driver": "cgroupfs" | "systemd"}. A run is {"id", "state", "from": the runtime before it}.

`python3 fake_castoff.py --make FILE` writes a program that is it: a script of the shell, as programs go by their first line.
"""
import hashlib
import json
import os
import sys

STATES = ("planned", "migrated", "verified", "rolled_back", "committed")
GATHER = ("facts", "findings", "plan", "history", "report")
COMMON = {
    "goal": ("containerd", "cgroup-driver"), "profile": str, "root": str, "assume": dict, "skip_checks": list, "trial": bool,
    "run": str,
}
OPTIONS = {
    "runtime": dict(COMMON, state=STATES, plan_digest=str, commit=bool, try_for=str, keep_on_verify_failure=bool,
                    level=("config", "runtime", "cri", "node"), force=bool),
    "runtime_info": dict(COMMON, gather=list),
}
DIFF = "--- /etc/containerd/config.toml\n+++ /etc/containerd/config.toml (planned)\n@@ -1 +1 @@\n-disabled_plugins = [\"cri\"]\n+disabled_plugins = []\n"


def fail(msg, code, **more):
    answer(dict(changed=False, failed=True, msg=msg, exit_code=code, **more), code)


def answer(result, code=0):
    print("this is talk", file=sys.stderr)
    print(json.dumps(result))
    sys.exit(code)


def checked(asked):
    """The name of the module, once everything in the request is as the contract says."""
    if not isinstance(asked, dict):
        fail("the request is no object", 64)
    for key, kind in (("_ansible_module_name", str), ("_ansible_check_mode", bool)):
        if not isinstance(asked.get(key), kind):
            fail("no %s" % key, 64)
    name = asked["_ansible_module_name"].rsplit(".", 1)[-1]
    if name not in OPTIONS:
        fail("no module %s" % name, 64)
    for key, value in asked.items():
        if key.startswith("_ansible_"):
            continue
        want = OPTIONS[name].get(key)
        if want is None:
            fail("unknown option `%s`" % key, 64)
        if value not in want if isinstance(want, tuple) else not isinstance(value, want):
            fail("option `%s` is %r" % (key, value), 64)
    for key, value in asked.get("assume", {}).items():
        if not isinstance(value, str):
            fail("assume: `%s` is %r, not a text" % (key, value), 64)
    for word in asked.get("gather", []):
        if word not in GATHER:
            fail("gather: `%s`" % word, 64)
    return name


class Node:
    def __init__(self, asked):
        self.file = os.path.join(asked.get("root") or os.environ["FAKE_CASTOFF_ROOT"], "node.json")
        with open(self.file) as f:
            self.state = dict({"fail": "", "runs": [], "driver": "cgroupfs"}, **json.load(f))

    def save(self, **changes):
        self.state.update(changes)
        with open(self.file, "w") as f:
            json.dump(self.state, f)

    def plan(self, asked):
        steps = []
        if self.state["driver" if asked.get("goal") == "cgroup-driver" else "runtime"] in ("docker", "cgroupfs"):
            steps = [{"id": "containerd-config", "index": 1, "change": "update", "why": ["CRI on"],
                      "action": {"type": "write-file", "path": "/etc/containerd/config.toml", "diff": DIFF}},
                     {"id": "kubelet-stop", "index": 2, "change": "run", "why": ["pods restart"],
                      "action": {"type": "stop-unit", "unit": "kubelet.service"}}]
        # The same facts and wishes give the same plan; `content` stands for the files of the node.
        seed = json.dumps([steps, self.state.get("content", ""), asked.get("goal", "containerd")])
        digest = "sha256:" + hashlib.sha256(seed.encode()).hexdigest()
        return {"apiVersion": "castoff/v1", "kind": "Plan", "digest": digest, "steps": steps,
                "desired": {"skipChecks": sorted(asked.get("skip_checks", []))}}

    def findings(self):
        """One that was accepted still is one."""
        if self.state["fail"] != "blocked":
            return []
        return [{"id": "fake-block", "severity": "block", "summary": "the fake is blocked", "cause": "it was told to be",
                 "fix": "tell it otherwise", "origins": []}]


def runtime(asked, node):
    check, state = asked["_ansible_check_mode"], asked.get("state", "planned")
    plan, findings = node.plan(asked), node.findings()
    result = dict(changed=False, exit_code=0, findings=findings, warnings=["a fake"], node="fake",
                  node_facts={"containerd.version": "1.7.24"}, reboot_required=False)
    if state in ("planned", "migrated"):
        result.update(plan=plan, plan_digest=plan["digest"], run_id="")
        if state == "planned" and node.state["fail"] == "dirty":
            result["unfinished_run"] = "run0"
        if asked.get("_ansible_diff"):
            result["diff"] = [{"prepared": DIFF}] if plan["steps"] else []
    if state == "migrated":
        migrate(asked, node, result, check)
    elif state == "verified":
        wanted = ("driver", "systemd") if asked.get("goal") == "cgroup-driver" else ("runtime", "containerd")
        bad = node.state["fail"] == "verify" or node.state[wanted[0]] != wanted[1]
        result["verification"] = {"kind": "Verification", "checks": [{"id": "pods", "status": "fail" if bad else "pass"}]}
        if bad:
            result.update(failed=True, msg="1 of 1 checks failed\ncause: pods\nhint: castoff verify", exit_code=2)
    elif state == "rolled_back":
        runs = [run for run in node.state["runs"] if run["state"] in ("applied", "committed")]
        result["changed"] = bool(runs)
        result["outcome"] = "rolled-back" if runs else "no-change"
        result["run_id"] = runs[-1]["id"] if runs else ""
        if runs and not check:
            runs[-1]["state"] = "rolled-back"
            node.save(runtime=runs[-1].get("from", "docker"))
            runtime = {"docker": "Docker (dockershim)"}.get(node.state["runtime"], node.state["runtime"])
            result["node_facts"]["kubelet.runtime"] = runtime
    elif state == "committed":
        runs = [run for run in node.state["runs"] if run["state"] == "applied"]
        result["changed"] = bool(runs)
        if runs and not check:
            runs[-1]["state"] = "committed"
            node.save()
    return result


def migrate(asked, node, result, check):
    steps, kind = result["plan"]["steps"], node.state["fail"]
    accepted = result["plan"]["desired"]["skipChecks"]
    waiting = [run["id"] for run in node.state["runs"] if run["state"] == "applied"]
    if kind == "dirty":
        # As castoff says it: no outcome, and the same exit code as many others.
        result.update(failed=True, exit_code=1, msg="run run0 did not come to its end\nhint: castoff resume")
    elif asked.get("plan_digest", result["plan_digest"]) != result["plan_digest"]:
        result.update(failed=True, exit_code=1, outcome="blocked", msg="the plan is another one\ncause: digest\nhint: review it again")
    elif not steps:
        result.update(outcome="no-change", run_id=waiting[-1] if waiting else "")
    elif kind == "blocked" and "fake-block" not in accepted:
        result.update(failed=True, exit_code=3, outcome="blocked", msg="1 finding blocks\ncause: fake-block\nhint: fix it")
    elif check:
        result["changed"] = True
    elif kind in ("rolled-back", "stuck"):
        code = 4 if kind == "rolled-back" else 5
        node.state["runs"].append({"id": "run%d" % len(node.state["runs"]), "state": kind})
        node.save()
        result.update(failed=True, exit_code=code, outcome=kind, run_id=node.state["runs"][-1]["id"],
                      msg="containerd.service did not start\ncause: told to\nhint: look at its journal",
                      report={"kind": "RunReport", "outcome": kind})
    else:
        kept = asked.get("commit", True) and not asked.get("try_for")
        node.state["runs"].append({"id": "run%d" % len(node.state["runs"]), "state": "committed" if kept else "applied",
                                   "from": node.state["runtime"]})
        node.save(**({"driver": "systemd"} if asked.get("goal") == "cgroup-driver" else {"runtime": "containerd"}))
        result.update(changed=True, outcome="applied", run_id=node.state["runs"][-1]["id"],
                      report={"kind": "RunReport", "outcome": "applied"})


def runtime_info(asked, node):
    result = dict(changed=False, exit_code=0, node="fake", node_facts={})
    for word in asked.get("gather", ["facts", "findings", "history"]):
        result[word] = {"facts": {"kind": "Facts"}, "findings": node.findings(), "plan": node.plan(asked),
                        "history": node.state["runs"], "report": {"kind": "RunReport"}}[word]
    if "plan" in result:
        result["plan_digest"] = result["plan"]["digest"]
    return result


def module(text):
    asked = json.loads(text)
    name = checked(asked)
    node = Node(asked)
    if node.state["fail"] == "garbage":
        print("error: nobody expected this", file=sys.stderr)
        print("this is no JSON")
        sys.exit(101)
    if node.state.get("log"):
        with open(node.state["log"], "a") as f:
            f.write(json.dumps(dict(asked, program=sys.argv[1])) + "\n")
    result = (runtime if name == "runtime" else runtime_info)(asked, node)
    answer(result, result["exit_code"] if result.get("failed") else 0)


def merge(args):
    """Only as much of `report merge` as shows that it was called rightly: one line for each record."""
    options, places = {}, []
    while args:
        word = args.pop(0)
        if word in ("--output", "--out", "--retry-file"):
            options[word] = args.pop(0)
        else:
            places.append(word)
    nodes = []
    for place in places:
        for name in sorted(os.listdir(place)):
            with open(os.path.join(place, name)) as f:
                document = json.load(f)
            assert document["apiVersion"] == "castoff/v1" and document["kind"] == "NodeResult", document
            nodes.append(document)
    bad = [n["host"] for n in nodes if n.get("error") or n["unreachable"]]
    text = "".join("%s %s %s\n" % (n["host"], n["wave"], n["result"].get("outcome", "-")) for n in nodes)
    if "--out" in options:
        with open(options["--out"], "w") as f:
            f.write(text)
    else:
        print(text, end="")
    if "--retry-file" in options:
        with open(options["--retry-file"], "w") as f:
            f.write("".join(host + "\n" for host in bad))


def main(argv):
    if os.path.basename(argv[0]).startswith("AnsiballZ_") and len(argv) == 2:
        with open(argv[1]) as f:
            module(f.read())
    elif argv[1:2] == ["ansible"] and len(argv) == 3:
        if argv[2] == "-":
            module(sys.stdin.read())
        with open(argv[2]) as f:
            module(f.read())
    elif argv[1:] == ["--version"]:
        print("castoff 0.0.0-fake")
    elif argv[1:3] == ["report", "merge"]:
        merge(argv[3:])
    else:
        print("error: unknown use: %r" % argv[1:], file=sys.stderr)
        sys.exit(64)


def make(path):
    with open(path, "w") as f:
        f.write("#!/bin/sh\nexec %s -B %s \"$0\" \"$@\"\n" % (sys.executable, os.path.abspath(__file__)))
    os.chmod(path, 0o755)
    return path


if __name__ == "__main__":
    if sys.argv[1] == "--make":
        make(sys.argv[2])
    else:
        main(sys.argv[1:])
