# SPDX-License-Identifier: Apache-2.0
"""The MMARs that were uploaded: a folder each, and beside it what is known of it.

``transfer/NAME/`` is the MMAR, ``transfer/NAME.json`` says whose it is. A newer upload takes
the place of both at once, whatever happens meanwhile: it is whole in a folder of its own first,
whose rename decides, and whoever starts the server again moves the rest.
"""

from __future__ import annotations

import json
import re
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.admin.entrance.access import unknown
from mmar_runner.documents.strict_json import parse_checked
from mmar_runner.errors import NotAuthorizedError, PackageError, StorageError
from mmar_runner.storage.atomic import sync_folder, sync_tree, translated, write_json_atomic

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mmar_runner.admin.entrance.access import Access

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,127}")
_ABOUT: Final = "about.json"
#: No MMAR can have this name: none begins with a dot.
_OLD: Final = ".old"
_READY: Final = "ready-"
_LIMIT: Final = 64 << 10
#: Files that are brought to the disk at once: they wait for it, and compute nothing.
_SYNCS_AT_ONCE: Final = 8


class Uploaded:
    """The folder of what was uploaded.

    Args:
        folder: ``WORKSPACE/transfer``.
        access: Who may see what.
    """

    def __init__(self, folder: Path, access: Access) -> None:
        self._folder = folder
        self._access = access

    def visible(self, user: str) -> list[Mapping[str, Any]]:
        """Return what this user may see: name, digest, owner, org, uploaded, bytes."""
        org, everything = self._access.org_of(user), self._access.sees_all(user)
        return [one for one in self.known() if everything or one["org"] == org]

    def require(self, name: str, user: str) -> Path:
        """Return an uploaded MMAR's folder.

        Raises:
            NotAuthorizedError: UNKNOWN, there is none, or another organisation's.
        """
        names = [str(one["name"]) for one in self.visible(user)]
        if name not in names:
            raise unknown("uploaded MMAR", name, names)
        return self._folder / name

    def of(self, name: str) -> Mapping[str, Any] | None:
        """Return what is known of an upload, for whoever it was; None if there is none."""
        return next((one for one in self.known() if one["name"] == name), None)

    def path_of(self, name: str) -> Path:
        """Return where an upload lies, for whoever it was."""
        return self._folder / name

    def known(self) -> list[Mapping[str, Any]]:
        """Return everything that was uploaded, by name.

        Raises:
            StorageError: What is known of one cannot be read.
        """
        with translated(self._folder):
            paths = sorted(self._folder.glob("*.json"))
        there = (path for path in paths if (self._folder / path.stem).is_dir())
        return [_read(path) for path in there if _NAME.fullmatch(path.stem)]

    def require_free(self, name: str, user: str) -> None:
        """Refuse a name that an upload of this user cannot have.

        Raises:
            PackageError: UNSAFE_PATH.
            NotAuthorizedError: MMAR_NAME_TAKEN; whose it is, is not said.
        """
        if not _NAME.fullmatch(name) or name.endswith(".json"):
            msg = f"an uploaded MMAR cannot be called {name[:80]!r}"
            hint = "letters, digits, '_', '-' and '.', at most 128, and no '.json' at the end"
            raise PackageError(msg, hint=hint, reason="UNSAFE_PATH")
        there = self.of(name)
        if there is not None and there["org"] != self._access.org_of(user):
            msg = f"the name {name!r} cannot be used here"
            hint = "give the MMAR's folder another name, and sign it again"
            raise NotAuthorizedError(msg, hint=hint, reason="MMAR_NAME_TAKEN")

    def prepare(self, mmar: Path, facts: Mapping[str, Any]) -> None:
        """Bring an MMAR and what is known of it to the disk, before it is published. Blocks.

        Args:
            mmar: Its folder, called by its name, in one of its own below `folder`.
            facts: What is known of it.
        """
        write_json_atomic(mmar.parent / _ABOUT, dict(facts))
        sync_tree(mmar.parent, at_once=_SYNCS_AT_ONCE)

    def publish(self, mmar: Path) -> Path:
        """Let a prepared MMAR take the place of an earlier one of its name; renames only.

        Returns:
            What is left, to be removed: the earlier one.

        Raises:
            StorageError: It cannot be moved.
        """
        staging = mmar.parent
        ready = staging.with_name(_READY + staging.name.rpartition("-")[2])
        with translated(ready):
            staging.rename(ready)
            sync_folder(ready.parent)
            self._settle(ready)
        return ready

    def settle(self, folder: Path) -> None:
        """Finish what an earlier process had begun to publish. Blocks.

        Args:
            folder: Where packages arrive.

        Raises:
            StorageError: It cannot be moved.
        """
        for ready in sorted(folder.glob(f"{_READY}*")):
            with translated(ready):
                self._settle(ready)
            shutil.rmtree(ready, ignore_errors=True)

    def _settle(self, ready: Path) -> None:
        """Move an MMAR and then what is known of it; what was moved already stays where it is."""
        about = ready / _ABOUT
        if not about.exists():
            return
        name = str(_read(about)["name"])
        if (ready / name).exists():
            with suppress(FileNotFoundError):
                (self._folder / name).rename(ready / _OLD)
            (ready / name).rename(self._folder / name)
        about.replace(self._folder / f"{name}.json")
        sync_folder(self._folder)


def _read(path: Path) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = parse_checked(path.read_bytes(), "uploaded_mmar", limit=_LIMIT)
    except (OSError, ValueError) as error:
        hint = "remove it, and upload the MMAR again"
        raise StorageError(f"{path} cannot be read: {error}", hint=hint) from error
    return found


def as_event(value: Mapping[str, Any]) -> bytes:
    """Return what came of an upload as the event that a console is told."""
    return json.dumps({"kind": "value", "value": dict(value)}, allow_nan=False).encode()
