"""Makes `ansible_collections.castoff.node` importable for the tests in this folder, in every ansible-core.

The collection must be installed, or lie in a folder of the form ansible_collections/castoff/node; tests/run.sh sees to that.
"""
from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

COLLECTION = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COLLECTIONS = os.path.dirname(os.path.dirname(os.path.dirname(COLLECTION)))

# Before Ansible is imported: ansible-core 2.14 reads it then.
os.environ["ANSIBLE_COLLECTIONS_PATH"] = COLLECTIONS


DONE = []


def collection():
    from ansible.plugins import loader

    if not DONE and hasattr(loader, "init_plugin_loader"):
        loader.init_plugin_loader([COLLECTIONS])
    DONE.append(True)
