# -*- coding: utf-8 -*-
# Copyright: castoff maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
name: node_result
short_description: The record of one node for C(castoff report merge)
version_added: 0.1.0
description:
  - Makes a C(NodeResult) document of what M(castoff.node.runtime) has returned. What only Ansible needs is left out.
positional: _input
options:
  _input:
    description: A result of M(castoff.node.runtime), or an empty dictionary when it never came that far.
    type: dict
    required: true
  host:
    description: The node's name in the inventory.
    type: str
    required: true
  action:
    description: What was asked for, a state of M(castoff.node.runtime).
    type: str
    default: migrated
  wave:
    description: The wave the node was in.
    type: str
    default: ""
  rollback:
    description: The result of the rollback after a failure.
    type: dict
  error:
    description: The message of the task that failed, whichever it was.
    type: str
    default: ""
  unreachable:
    description: Whether the node could not be reached.
    type: bool
    default: false
  cordoned:
    description: Whether the node is left cordoned.
    type: bool
    default: false
  seconds:
    description: How long it took.
    type: float
    default: 0
  recorded:
    description:
      - When the record is made, UTC, RFC 3339. Of several records about one node C(castoff report merge) takes the latest.
    type: str
    default: ""
author:
  - castoff maintainers (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Keep what became of the node
  ansible.builtin.copy:
    content: "{{ moved | castoff.node.node_result(host=inventory_hostname, wave='canary',
      recorded=now(utc=true, fmt='%Y-%m-%dT%H:%M:%SZ')) | to_nice_json }}"
    dest: "reports/{{ inventory_hostname }}.json"
  delegate_to: localhost
"""

RETURN = r"""
_value:
  description: The document.
  type: dict
"""

from ansible.errors import AnsibleFilterError

# Ansible's own keys, and what is too long to be kept: diffs are in the plan.
LEFT_OUT = ("diff", "invocation", "ansible_facts", "deprecations", "attempts", "exception")


def without(result):
    if not isinstance(result, dict):
        raise AnsibleFilterError("node_result wants the result of a module, not %s" % type(result).__name__)
    return dict((key, value) for key, value in result.items()
                if key not in LEFT_OUT and not key.startswith("_ansible"))


def node_result(result, host, action="migrated", wave="", rollback=None, error="", unreachable=False, cordoned=False,
                seconds=0, recorded=""):
    document = dict(
        apiVersion="castoff/v1",
        kind="NodeResult",
        host=host,
        wave=wave,
        action=action,
        result=without(result),
        unreachable=bool(unreachable),
        cordoned=bool(cordoned),
        seconds=round(float(seconds), 1),
    )
    if rollback:
        document["rollback"] = without(rollback)
    if error:
        document["error"] = error
    if recorded:
        document["recorded"] = recorded
    return document


class FilterModule(object):
    """Filters of this collection."""

    def filters(self):
        return {"node_result": node_result}
