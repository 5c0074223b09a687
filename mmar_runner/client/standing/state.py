# SPDX-License-Identifier: Apache-2.0
"""What a standing client has to remember: ``standing.json``.

Whoever is killed in the middle of a run goes on with it by itself, without asking anybody.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from mmar_runner.documents.strict_json import parse_checked
from mmar_runner.errors import StorageError
from mmar_runner.storage.atomic import translated, write_json_atomic

if TYPE_CHECKING:
    from pathlib import Path

FILE: Final = "standing.json"
_LIMIT: Final = 64 << 10


@dataclass(slots=True)
class StandingState:
    """What is deployed here, and whether it is worked for.

    Attributes:
        mmar: The MMAR's name; empty if nothing is deployed.
        digest: Its digest, hex.
        run_number: For which run; 0 for none.
        started: Whether a session works, or is to go on working, for it.
        processes: In how many processes the trainer is to work; None if the order did not say.
    """

    mmar: str = ""
    digest: str = ""
    run_number: int = 0
    started: bool = False
    processes: int | None = None

    @classmethod
    def read(cls, workspace: Path) -> StandingState:
        """Return what an earlier process remembered; nothing if there was none.

        Raises:
            StorageError: It cannot be read, or is damaged.
        """
        path = workspace / FILE
        with translated(path):
            if not path.exists():
                return cls()
            data = path.read_bytes()
        try:
            return cls(**parse_checked(data, "standing", limit=_LIMIT))
        except ValueError as error:
            hint = "remove it, and have the MMAR deployed again"
            raise StorageError(f"{path} is damaged: it {error}", hint=hint) from error

    def save(self, workspace: Path) -> None:
        """Write it to the disk; it is there when this returns.

        Raises:
            StorageError: It cannot be written.
        """
        write_json_atomic(workspace / FILE, asdict(self), durable=True)
