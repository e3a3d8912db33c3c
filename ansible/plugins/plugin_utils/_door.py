# -*- coding: utf-8 -*-
# Copyright: castoff maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two doors to one engine: the Python module that runs castoff, or castoff itself as the module.

Private to this collection. Uses only what ActionBase has had, under the same names, since ansible-core 2.14.
"""
from __future__ import absolute_import, division, print_function

__metaclass__ = type

import hashlib
import json
import os
import shlex

from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.module_utils import basic
from ansible.module_utils.common.text.converters import to_native, to_text
from ansible.module_utils.json_utils import _filter_non_json_lines
from ansible.plugins.action import ActionBase
from ansible.utils.unsafe_proxy import wrap_var
from ansible_collections.castoff.node.plugins.module_utils import _castoff

DOORS = ("auto", "python", "binary")
# Beside castoff's own state: a reboot leaves it alone, as it must what ends a run after a reboot.
REMOTE_DIR = "/var/lib/castoff/bin"
# States that may begin or continue a run on the node.
LASTING = ("migrated", "rolled_back", "committed")


def oldest_python():
    """The oldest Python this ansible-core serves on nodes."""
    oldest = getattr(basic, "_PY_MIN", None)
    return oldest if isinstance(oldest, tuple) else (2, 7)


def interpreters(task_vars, fallback):
    """The words that may start Python on the node, in Ansible's order."""
    named = to_text(task_vars.get("ansible_python_interpreter") or "auto")
    if named.startswith("auto"):
        return [[to_text(path)] for path in fallback] + [["/usr/libexec/platform-python"]]
    return [shlex.split(named)]


def quoted(words):
    return " ".join(shlex.quote(to_native(word)) for word in words)


def probe_command(pythons, cached):
    """One shell command that tells architecture, checksum of the castoff that is there, and whether a Python is usable.

    Whatever is missing on the node leaves its line out; `:` keeps the exit status out of the matter.
    """
    # An interpreter without zipfile, such as Debian's python3-minimal, cannot start a module.
    test = "import json, subprocess, sys, tempfile, zipfile; sys.exit(sys.version_info < %r)" % (oldest_python(),)
    parts = ["echo arch $(uname -m)", "echo sum $(sha256sum %s 2>/dev/null)" % shlex.quote(cached)]
    parts += ["%s 2>/dev/null && echo python yes" % quoted(words + ["-c", test]) for words in pythons]
    return "; ".join(parts + [":"])


def probed(out):
    """What probe_command said; lines of others (a banner) are passed over."""
    found = {"arch": "", "sum": "", "python": False}
    for line in to_text(out).splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] in ("arch", "sum"):
            found[words[0]] = words[1]
        elif words == ["python", "yes"]:
            found["python"] = True
    return found


def checksum(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        for block in iter(lambda: f.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def parsed(ran, program):
    """The one JSON object on standard output; a banner around it does no harm."""
    out = ran.get("stdout") or ""
    try:
        out = _filter_non_json_lines(out, objects_only=True)[0]
    except ValueError:
        pass
    return _castoff.answer(out, ran.get("rc", 0), ran.get("stderr") or "", program)


class DoorAction(ActionBase):
    """`MODULE` is the module's whole name."""

    MODULE = ""
    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp=None, task_vars=None):
        result = super(DoorAction, self).run(tmp, task_vars)
        task_vars = task_vars or {}
        door = self._setting(task_vars, "castoff_door", "auto")
        binaries = self._setting(task_vars, "castoff_binaries", None) or {}
        if door not in DOORS:
            raise AnsibleActionFail("castoff_door is `%s`\nhint: it may be %s" % (door, ", ".join(DOORS)))
        if door == "binary" and not binaries:
            raise AnsibleActionFail("castoff_door is `binary`, and castoff_binaries is empty\n"
                                    "hint: it maps what `uname -m` says to castoff's path on the controller")
        try:
            seen = None
            if door == "binary" or (door == "auto" and binaries and not self._python_is_known(task_vars)):
                seen = self._look(task_vars, door)
            if seen is None or (door == "auto" and seen["python"]):
                result.update(self._python(task_vars))
            else:
                result.update(self._binary(task_vars, binaries, seen))
        finally:
            if not self._task.async_val:
                self._remove_tmp_path(self._connection._shell.tmpdir)
        return result

    # -- which door ---------------------------------------------------------------------------------------------------

    def _host_vars(self, task_vars):
        """Where a task is delegated, the other host's variables count."""
        if self._task.delegate_to:
            return (task_vars.get("ansible_delegated_vars") or {}).get(self._task.delegate_to) or task_vars
        return task_vars

    def _setting(self, task_vars, name, default):
        host_vars = self._host_vars(task_vars)
        # Variables of the task itself are not among those of a host it is delegated to.
        value = host_vars.get(name, task_vars.get(name))
        return default if value is None else self._templar.template(value)

    def _python_is_known(self, task_vars):
        """A module ran there before: Ansible remembers the interpreter it has found."""
        facts = self._host_vars(task_vars).get("ansible_facts") or {}
        return bool(facts.get("discovered_interpreter_python"))

    def _cached(self, task_vars):
        return to_text(self._setting(task_vars, "castoff_remote_dir", REMOTE_DIR)).rstrip("/") + "/castoff"

    def _look(self, task_vars, door):
        pythons = []
        if door == "auto":
            fallback = C.config.get_config_value("INTERPRETER_PYTHON_FALLBACK", variables=task_vars)
            named = self._setting(task_vars, "ansible_python_interpreter", None)
            pythons = interpreters({"ansible_python_interpreter": named}, fallback)
        ran = self._low_level_execute_command(probe_command(pythons, self._cached(task_vars)))
        found = probed(ran.get("stdout"))
        if not found["arch"]:
            # Not even `uname` ran: mostly it is sudo that is missing or wants a password.
            said = [line for line in to_text(ran.get("stderr") or ran.get("stdout") or "").splitlines() if line.strip()]
            raise AnsibleActionFail("no command runs on the node\ncause: %s\nhint: check become and the connection, for example "
                                    "with the module ansible.builtin.raw" % (said[-1].strip() if said else "no output at all"))
        return found

    # -- the doors ----------------------------------------------------------------------------------------------------

    def _python(self, task_vars):
        wrap_async = self._task.async_val and not self._connection.has_native_async
        result = self._execute_module(module_name=self.MODULE, task_vars=task_vars, wrap_async=wrap_async)
        result["door"] = "python"
        return result

    def _binary(self, task_vars, binaries, seen):
        if self._task.async_val:
            raise AnsibleActionFail("async needs a Python on the node\n"
                                    "hint: leave async out; a lost connection does not end a run of castoff")
        local = self._local(binaries, seen["arch"])
        args = _castoff.request(self.MODULE, self._task.args, self._task.check_mode, self._task.diff)
        cached = self._cached(task_vars)
        if self._connection._shell.tmpdir is None:
            self._make_tmp_path()
        tmp = self._connection._shell.tmpdir
        join = self._connection._shell.join_path
        args_file = join(tmp, "args")
        sent = [tmp, args_file]
        self._transfer_data(args_file, json.dumps(args))
        before = ""
        if seen["sum"] == checksum(local):
            words = [cached, "ansible", args_file]
        else:
            module = join(tmp, "AnsiballZ_" + self.MODULE.rsplit(".", 1)[-1])
            self._transfer_file(local, module)
            sent.append(module)
            words = [module, args_file]
            if self._lasts(args):
                # Through a new file: the old one may be running, and a copy cut off half-way must not be found later.
                before = " && ".join([
                    quoted(["mkdir", "-p", os.path.dirname(cached)]),
                    quoted(["cp", module, cached + ".new"]),
                    quoted(["chmod", "0755", cached + ".new"]),
                    quoted(["mv", "-f", cached + ".new", cached]),
                ]) + " && "
                words = [cached, "ansible", args_file]
        self._fixup_perms2(sent, self._get_remote_user())
        environment = self._compute_environment_string().strip()
        command = before + (environment + " " if environment else "") + quoted(words)
        result = parsed(self._low_level_execute_command(command), words[0])
        result = dict((key, value) for key, value in result.items() if not key.startswith("_ansible_"))
        result["door"] = "binary"
        # Text of a node must never be taken for a template.
        return wrap_var(result)

    def _lasts(self, args):
        """True when castoff may leave units behind for the next boot: they start the very program that ran."""
        return (self.MODULE.endswith(".runtime") and args.get("state") in LASTING
                and not args["_ansible_check_mode"] and not args.get("root"))

    def _local(self, binaries, arch):
        if arch not in binaries:
            raise AnsibleActionFail(
                "no castoff for this node\ncause: its architecture is `%s`, and castoff_binaries has %s\n"
                "hint: castoff_binaries maps what `uname -m` says to castoff's path on the controller"
                % (arch, ", ".join(sorted(to_text(key) for key in binaries)) or "nothing"))
        path = os.path.expanduser(to_text(binaries[arch]))
        if not os.path.isfile(path):
            raise AnsibleActionFail("no castoff for this node\ncause: castoff_binaries[%s] is %s, which is no file here"
                                    % (arch, path))
        return path
