# SPDX-License-Identifier: Apache-2.0
"""A project whose office the tests are."""

from __future__ import annotations

import pytest

from tests.unit.security.provisioning.world import World


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


@pytest.fixture
def own(world):
    world.edit("client_name: site-2}", "client_name: site-2, own_keys: true}")
    world.make()
    return world
