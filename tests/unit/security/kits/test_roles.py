# SPDX-License-Identifier: Apache-2.0
"""Whose kit a folder is, told by the file that nobody else's kit has."""

import pytest

from mmar_runner.security.identity import Role
from mmar_runner.security.kits.files import KIT_FILES
from mmar_runner.security.kits.roles import MARKS, role_of


@pytest.mark.parametrize("role", list(Role))
def test_a_kit_is_known_by_the_file_that_only_it_has(tmp_path, role):
    assert MARKS[role] in KIT_FILES[role].required
    assert all(MARKS[role] not in KIT_FILES[other].required for other in Role if other != role)
    for name in KIT_FILES[role].required:
        (tmp_path / name).touch()
    assert role_of(tmp_path) is role


def test_a_folder_that_is_none_is_nobodys(tmp_path):
    assert role_of(tmp_path) is None
    assert role_of(tmp_path / "nowhere") is None
