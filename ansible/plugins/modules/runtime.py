#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: castoff maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: runtime
short_description: Move a node from Docker to containerd, prove it, take it back
version_added: 0.1.0
description:
  - Runs castoff on a Kubernetes node. castoff reads the node, plans every change, makes them as one run with a journal, and
    proves that pods run on containerd. When a step or the proof fails, the old state comes back.
  - Pods on the node restart. Neither this module nor castoff asks the cluster; cordon and drain the node first, or use the
    role P(castoff.node.migrate#role), which does that.
options:
  state:
    description:
      - V(planned) makes the plan and changes nothing. Look at RV(plan), RV(findings) and RV(plan_digest).
      - V(migrated) moves the node, unless it already is as wanted.
      - V(verified) proves the node as far as O(level) says, and fails when something is not as expected.
      - V(rolled_back) takes a run back.
      - V(committed) says that an open run stays.
    type: str
    choices: [planned, migrated, verified, rolled_back, committed]
    default: planned
  goal:
    description:
      - What to reach. V(containerd) is castoff's default. V(cgroup-driver) stays on Docker and unifies the cgroup driver only.
    type: str
    choices: [containerd, cgroup-driver]
  profile:
    description:
      - Path on the node of castoff's profile. castoff's default is C(/etc/castoff/profile.toml), where it is there.
    type: path
  root:
    description:
      - Path of a node's file tree, to be worked on in place of C(/). Nothing live is asked or touched then.
    type: path
  assume:
    description:
      - What a file tree cannot tell, such as C(docker.version) or C(cgroup.mode). Numbers should be quoted.
    type: dict
  skip_checks:
    description:
      - Ids of findings that must not block.
    type: list
    elements: str
  plan_digest:
    description:
      - Digest of the plan that was reviewed. O(state=migrated) refuses to change anything when the plan made now has another.
    type: str
  trial:
    description:
      - Try the planned configuration, and pods on it, before the first step.
    type: bool
    default: true
  commit:
    description:
      - Commit the run as soon as it is proven. With V(false) it stays open until O(state=committed).
    type: bool
    default: true
  try_for:
    description:
      - A duration such as V(10m). The node takes the run back by itself unless O(state=committed) comes within that time.
    type: str
  keep_on_verify_failure:
    description:
      - Do not roll back when only the proof fails.
    type: bool
    default: false
  level:
    description:
      - How far O(state=verified) goes. Each level includes those before it.
    type: str
    choices: [config, runtime, cri, node]
    default: node
  run:
    description:
      - Id of the run for O(state=rolled_back) and O(state=committed). The newest one when left out.
    type: str
  force:
    description:
      - With O(state=rolled_back), also restore files that somebody else has changed since the run.
    type: bool
    default: false
  executable:
    description:
      - Path of castoff on the node. When left out, it is looked for in E(PATH), then as C(/usr/local/bin/castoff) and
        C(/usr/bin/castoff). Not used when castoff itself is the module, see the notes.
    type: path
attributes:
  check_mode:
    support: full
    description: Nothing is changed; RV(ignore:changed) and failures are those of a real run, as far as a plan can tell.
  diff_mode:
    support: full
    description: The unified diffs of C(castoff plan), and the units that stop and start.
notes:
  - Needs root on the node, so C(become).
  - A node without a usable Python is served too. With the variable C(castoff_binaries), a dictionary from the answer of
    C(uname -m) to castoff's path on the controller, castoff is sent and is the module. The variable C(castoff_door) says when,
    V(auto) (no usable Python), V(binary) (always) or V(python) (never).
  - The program that was sent stays in C(castoff_remote_dir), by default C(/var/lib/castoff/bin), from the first task on that may
    change the node. What ends a run after a reboot is started from there.
seealso:
  - module: castoff.node.runtime_info
author:
  - castoff maintainers (!UNKNOWN)
"""

EXAMPLES = r"""
- name: See what would be done
  castoff.node.runtime:
    state: planned
  register: look

- name: Move the node, exactly as it was planned
  castoff.node.runtime:
    state: migrated
    plan_digest: "{{ look.plan_digest }}"

- name: Move the node; it goes back by itself unless the next task comes in time
  castoff.node.runtime:
    state: migrated
    try_for: 10m

- name: Keep it
  castoff.node.runtime:
    state: committed

- name: Take the newest run back
  castoff.node.runtime:
    state: rolled_back
"""

RETURN = r"""
outcome:
  description: How the run ended.
  returned: when a run was asked for
  type: str
  sample: applied
exit_code:
  description: castoff's own exit code.
  returned: always
  type: int
plan:
  description: The plan, with diffs and without the contents of files.
  returned: for O(state=planned) and O(state=migrated)
  type: dict
plan_digest:
  description: The plan's digest, for O(plan_digest).
  returned: with RV(plan)
  type: str
findings:
  description: What is notable about the node. Severity V(block) forbids a migration, unless O(skip_checks) or the profile accepts it.
  returned: with RV(plan)
  type: list
  elements: dict
run_id:
  description:
    - Id of the run, empty when there was none. For O(state=migrated) without a change, that of a run which waits for O(state=committed).
  returned: when a run was asked for
  type: str
unfinished_run:
  description: Id of a run that was cut off or is stuck. It has to come to its end first, and O(state=migrated) refuses until then.
  returned: for O(state=planned), where there is one
  type: str
report:
  description: The run's report.
  returned: when there was a run
  type: dict
verification:
  description: Each check with its result.
  returned: for O(state=verified)
  type: dict
node:
  description: The node's host name as castoff sees it.
  returned: when the node was looked at, so not for O(state=committed)
  type: str
node_facts:
  description:
    - Versions, cgroup mode and drivers, and as C(kubelet.runtime) what pods run on; what is not known is left out.
    - For O(state=rolled_back) as the node is afterwards.
  returned: with RV(node)
  type: dict
  sample:
    docker.version: 20.10.24
    cgroup.mode: unified
reboot_required:
  description: Always false, a migration needs no reboot.
  returned: when a run was asked for
  type: bool
door:
  description: Whether V(python) or castoff itself (V(binary)) was the module.
  returned: always
  type: str
log:
  description: The last lines that castoff said.
  returned: on failure
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.castoff.node.plugins.module_utils import _castoff


def main():
    module = AnsibleModule(
        argument_spec=dict(
            state=dict(
                type="str", default="planned", choices=["planned", "migrated", "verified", "rolled_back", "committed"]
            ),
            goal=dict(type="str", choices=["containerd", "cgroup-driver"]),
            profile=dict(type="path"),
            root=dict(type="path"),
            assume=dict(type="dict"),
            skip_checks=dict(type="list", elements="str"),
            plan_digest=dict(type="str"),
            trial=dict(type="bool", default=True),
            commit=dict(type="bool", default=True),
            try_for=dict(type="str"),
            keep_on_verify_failure=dict(type="bool", default=False),
            level=dict(type="str", default="node", choices=["config", "runtime", "cri", "node"]),
            run=dict(type="str"),
            force=dict(type="bool", default=False),
            executable=dict(type="path"),
        ),
        supports_check_mode=True,
    )
    _castoff.run(module, "castoff.node.runtime")


if __name__ == "__main__":
    main()
