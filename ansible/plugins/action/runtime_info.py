# -*- coding: utf-8 -*-
# Copyright: castoff maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ansible_collections.castoff.node.plugins.plugin_utils._door import DoorAction


class ActionModule(DoorAction):
    """Goes to the node through the module, or sends castoff to be the module."""

    MODULE = "castoff.node.runtime_info"
