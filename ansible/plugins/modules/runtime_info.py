#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: castoff maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: runtime_info
short_description: What castoff knows about a node
version_added: 0.1.0
description:
  - Returns facts, findings, the plan, past runs or the report of one, each value as castoff prints it. Changes nothing.
options:
  gather:
    description:
      - What to return.
    type: list
    elements: str
    choices: [facts, findings, plan, history, report]
    default: [facts, findings, history]
  run:
    description:
      - Id of the run for the report. The newest one when left out.
    type: str
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
      - Path of a node's file tree, to be looked at in place of C(/). Nothing live is asked then.
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
  trial:
    description:
      - Try the planned configuration, and pods on it, for the plan and its findings. That takes a while.
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
    description: Nothing is ever changed.
  diff_mode:
    support: none
    description: There is nothing to show a difference of.
notes:
  - Needs root on the node to see everything, so C(become).
  - Nodes without a usable Python are served as the notes of M(castoff.node.runtime) say.
seealso:
  - module: castoff.node.runtime
author:
  - castoff maintainers (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Which nodes still use Docker?
  castoff.node.runtime_info:
    gather: [facts]
  register: node

- name: Show the endpoint that kubelet asks
  ansible.builtin.debug:
    msg: "{{ node.node_facts['kubelet.endpoint'] | default('unknown') }}"
"""

RETURN = r"""
facts:
  description: What the node is made of, each value with its origin.
  returned: when asked for
  type: dict
findings:
  description: What is notable about the node. Severity V(block) forbids a migration.
  returned: when asked for
  type: list
  elements: dict
plan:
  description: The plan, with diffs and without the contents of files.
  returned: when asked for
  type: dict
plan_digest:
  description: The plan's digest.
  returned: with RV(plan)
  type: str
history:
  description: Runs on this node, newest first.
  returned: when asked for
  type: list
  elements: dict
report:
  description: The report of one run.
  returned: when asked for and there was a run
  type: dict
node:
  description: The node's host name as castoff sees it.
  returned: always
  type: str
node_facts:
  description: Versions, cgroup mode and drivers; what is not known is left out.
  returned: always
  type: dict
door:
  description: Whether V(python) or castoff itself (V(binary)) was the module.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.castoff.node.plugins.module_utils import _castoff


def main():
    module = AnsibleModule(
        argument_spec=dict(
            gather=dict(
                type="list",
                elements="str",
                default=["facts", "findings", "history"],
                choices=["facts", "findings", "plan", "history", "report"],
            ),
            run=dict(type="str"),
            goal=dict(type="str", choices=["containerd", "cgroup-driver"]),
            profile=dict(type="path"),
            root=dict(type="path"),
            assume=dict(type="dict"),
            skip_checks=dict(type="list", elements="str"),
            trial=dict(type="bool", default=False),
            executable=dict(type="path"),
        ),
        supports_check_mode=True,
    )
    _castoff.run(module, "castoff.node.runtime_info")


if __name__ == "__main__":
    main()
