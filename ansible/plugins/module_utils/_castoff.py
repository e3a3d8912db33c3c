# -*- coding: utf-8 -*-
# Copyright: castoff maintainers
# Apache License 2.0 (see LICENSES/Apache-2.0.txt)
# SPDX-License-Identifier: Apache-2.0
"""What both modules do: hand their options to castoff on standard input, return the object it prints.

Private to this collection. It runs on nodes, old ones too: nothing here needs more than Python 2.7.
"""
from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os

# Where packages and the role `install` put it; an empty PATH entry of sudo must not decide.
PLACES = ("/usr/local/bin/castoff", "/usr/bin/castoff")
# Lines of castoff's talk that a failure carries along.
TALK = 40


def text_of(value):
    """A value for castoff's --assume: YAML makes numbers and booleans of what is meant as text."""
    if value is True:
        return "true"
    if value is False:
        return "false"
    return "%s" % (value,)


def request(name, params, check_mode, diff):
    """The object castoff reads: the options that were given, and Ansible's own keys."""
    asked = dict((key, value) for key, value in params.items() if value is not None and key != "executable")
    if isinstance(asked.get("assume"), dict):
        asked["assume"] = dict((key, text_of(value)) for key, value in asked["assume"].items())
    asked["_ansible_module_name"] = name
    asked["_ansible_check_mode"] = bool(check_mode)
    asked["_ansible_diff"] = bool(diff)
    return asked


def answer(out, code, talk, program):
    """castoff's result, or one that says what came instead of it."""
    try:
        result = json.loads(out)
    except ValueError:
        result = None
    if not isinstance(result, dict):
        return no_answer(out, code, talk, program)
    # Ansible does not look at a module's exit status; a castoff that fails says so in both ways, or is mended here.
    if code != 0 and not result.get("failed"):
        result["failed"] = True
        result.setdefault("msg", "%s ended with exit code %s" % (program, code))
    result.setdefault("changed", False)
    if result.get("failed"):
        result.setdefault("msg", "castoff failed without a message")
        result.setdefault("exit_code", code)
        result["log"] = talk.splitlines()[-TALK:]
    return result


def no_answer(out, code, talk, program):
    lines = ["%s gave no result (exit code %s)" % (program, code)]
    said = [line for line in (talk or out).splitlines() if line.strip()]
    if said:
        lines.append("cause: %s" % said[-1].strip())
    lines.append("hint: is it castoff, for this architecture, and new enough? Try: %s --version" % program)
    return dict(failed=True, changed=False, msg="\n".join(lines), exit_code=code, log=talk.splitlines()[-TALK:])


def program(module):
    """The castoff to run."""
    wanted = module.params.get("executable")
    if wanted:
        if os.path.isfile(wanted) and os.access(wanted, os.X_OK):
            return wanted
        module.fail_json(msg="no castoff to run\ncause: %s is not there or not a program\n"
                             "hint: the role castoff.node.install puts castoff onto nodes" % wanted)
    found = module.get_bin_path("castoff")
    for place in (found,) + PLACES:
        if place and os.path.isfile(place) and os.access(place, os.X_OK):
            return place
    module.fail_json(msg="no castoff to run\ncause: it is neither in PATH nor %s\n"
                         "hint: the role castoff.node.install puts castoff onto nodes; "
                         "or set castoff_door=binary and castoff_binaries, then nothing has to be installed"
                         % " nor ".join(PLACES))


def run(module, name):
    """Runs castoff for an AnsibleModule and ends the module with its result."""
    binary = program(module)
    asked = request(name, module.params, module.check_mode, getattr(module, "_diff", False))
    code, out, talk = module.run_command([binary, "ansible", "-"], data=json.dumps(asked), binary_data=True)
    result = answer(out, code, talk, binary)
    # Ansible shows what was warned of, and puts it back into the result.
    for text in result.pop("warnings", None) or []:
        module.warn(text)
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(**result)
