# SPDX-License-Identifier: Apache-2.0
"""What to do about a damaged kit, said to whoever holds it: seldom the one who provisions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_CONFIGS: Final = frozenset(
    {"fed_server.json", "fed_combiner.json", "fed_client.json", "fed_admin.json"}
)
#: Keys by files that nobody but their role has; whoever has none of these has a client's.
_KEYS: Final = {
    "server.key": ("server.key", "server.crt", "fed_server.json"),
    "combiner.key": ("combiner.key", "combiner.crt", "fed_combiner.json"),
}
_ADMINS: Final = ("release.key", "release.pub", "fed_admin.json")
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
    # Any of its files may be the one that is missing.
    admin = any(path.with_name(name).exists() for name in _ADMINS)
    keys = (key for key, names in _KEYS.items() if any(path.with_name(n).exists() for n in names))
    key = next(keys, "client.key")
    return f"{key}, {'release.key' if admin else 'site_policy.json'} and state/"
