"""The records that `castoff report merge` reads."""
from __future__ import absolute_import, division, print_function

__metaclass__ = type

import unittest

import load

load.collection()

from ansible.errors import AnsibleFilterError
from ansible_collections.castoff.node.plugins.filter.node_result import FilterModule

node_result = FilterModule().filters()["node_result"]


class NodeResult(unittest.TestCase):
    def test_a_migrated_node(self):
        result = {"changed": True, "outcome": "applied", "diff": [{"prepared": "x"}], "invocation": {}, "ansible_facts": {},
                  "_ansible_no_log": False, "warnings": ["w"]}
        self.assertEqual(node_result(result, host="n1", wave="canary", seconds=12.34), {
            "apiVersion": "castoff/v1", "kind": "NodeResult", "host": "n1", "wave": "canary", "action": "migrated",
            "result": {"changed": True, "outcome": "applied", "warnings": ["w"]}, "unreachable": False, "cordoned": False,
            "seconds": 12.3})

    def test_a_node_that_never_came_that_far(self):
        document = node_result({}, host="n1", error="no route", unreachable=True, cordoned=True)
        self.assertEqual((document["result"], document["error"], document["unreachable"], document["cordoned"]),
                         ({}, "no route", True, True))

    def test_the_time_is_the_callers(self):
        self.assertEqual(node_result({}, host="n1", recorded="2026-11-30T08:00:00Z")["recorded"], "2026-11-30T08:00:00Z")
        self.assertNotIn("recorded", node_result({}, host="n1"))

    def test_a_rollback(self):
        document = node_result({}, host="n1", rollback={"outcome": "rolled-back", "diff": []})
        self.assertEqual(document["rollback"], {"outcome": "rolled-back"})
        self.assertNotIn("rollback", node_result({}, host="n1", rollback={}))

    def test_something_else_than_a_result(self):
        with self.assertRaises(AnsibleFilterError):
            node_result("text", host="n1")


if __name__ == "__main__":
    unittest.main()
