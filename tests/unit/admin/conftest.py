# SPDX-License-Identifier: Apache-2.0
"""A project of two organisations, for a server that stands in the process of a test."""

from __future__ import annotations

import pytest

from tests.attacks.two_orgs import TwoOrgs


@pytest.fixture(scope="session")
def two_orgs(tmp_path_factory: pytest.TempPathFactory) -> TwoOrgs:
    return TwoOrgs(tmp_path_factory.mktemp("two-orgs"))
