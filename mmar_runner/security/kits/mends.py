# SPDX-License-Identifier: Apache-2.0
"""What to do about a damaged kit, said to whoever holds it: seldom the one who provisions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_CONFIGS: Final = frozenset({"fed_server.json", "fed_client.json"})
_AUTHORIZATION: Final = "authorization.json"


def mend(path: Path) -> str:
    """Return what the owner of a kit can do about a file that is missing or not as signed."""
    if path.name in _CONFIGS:
        return (
            f"ask whoever provisions the project for {path.name} again; what it says is changed "
            "in the project file, and provisioned again"
        )
    if path.name == _AUTHORIZATION:
        return (
            f"ask whoever provisions the project for {path.name} again; a site's own rules "
            "belong in site_policy.json"
        )
    return f"ask whoever provisions the project for {path.name} again; keep your own {_own(path)}"


def _own(path: Path) -> str:
    """Return what of a kit is its owner's alone."""
    admin = path.with_name("release.pub").exists()
    key = "server.key" if path.with_name("server.crt").exists() else "client.key"
    return f"{key}, {'release.key' if admin else 'site_policy.json'} and state/"
