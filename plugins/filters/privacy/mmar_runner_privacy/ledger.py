# SPDX-License-Identifier: Apache-2.0
"""What a site has let out: counted on the disk before it leaves, and never forgotten."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.errors import StorageError
from mmar_runner.storage.atomic import translated, write_json_atomic
from mmar_runner_privacy.accountant import Release

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME: Final = "privacy.json"


class PrivacyLedger:
    """The releases of one filter, in a file of its folder.

    Args:
        folder: `FilterContext.ledger`.

    Raises:
        StorageError: The file cannot be read or is damaged; nothing is known then of what was
            spent, so nothing may be released.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _NAME
        self._releases: dict[str, dict[str, Any]] = {}
        with translated(self._path):
            if not self._path.exists():
                return
            text = self._path.read_bytes()
        try:
            self._releases = {str(k): _sound(v) for k, v in json.loads(text)["releases"].items()}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            msg = f"{self._path} is damaged: what was spent of the privacy budget is not known"
            hint = "put back a copy of it; without it the budget would begin anew"
            raise StorageError(msg, hint=hint) from error

    def __contains__(self, name: str) -> bool:
        """Whether a release is on record already."""
        return name in self._releases

    def releases(self) -> list[Release]:
        """Return all that is on record."""
        return [Release(one["noise"]) for one in self._releases.values()]

    def record(self, name: str, round_number: int, noise: float) -> None:
        """Put a release on record; it is on the disk on return.

        Args:
            name: Names its bytes: the same again is the same release.
            round_number: The round, for people who read the file.
            noise: See `Release`.

        Raises:
            StorageError: It cannot be written.
        """
        self._releases[name] = {"round": round_number, "noise": noise}
        write_json_atomic(self._path, {"version": 1, "releases": self._releases}, durable=True)


def _sound(kept: Mapping[str, Any]) -> dict[str, Any]:
    noise = float(kept["noise"])
    if not noise > 0:
        raise ValueError(noise)
    return {"round": int(kept["round"]), "noise": noise}
