# SPDX-License-Identifier: Apache-2.0
"""Whose kit a folder is, by the one file that nobody else's has. Nothing of it is believed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mmar_runner.security.identity import Role

if TYPE_CHECKING:
    from pathlib import Path

#: Which file of a kit nobody has but the role.
MARKS: Final = {
    Role.SERVER: "fed_server.json",
    Role.COMBINER: "fed_combiner.json",
    Role.ADMIN: "release.pub",
    Role.CLIENT: "fed_client.json",
}


def role_of(folder: Path) -> Role | None:
    """Return for which role a kit was made; None for a folder that looks like none."""
    return next((role for role, mark in MARKS.items() if (folder / mark).exists()), None)
