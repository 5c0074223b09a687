# SPDX-License-Identifier: Apache-2.0
"""Folders and environments of commands: what they may write, and what they are told."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.children.spec import FIXED, INHERITED, THREADS
from mmar_runner.storage.atomic import translated
from mmar_runner_entry_points.running import Surroundings

if TYPE_CHECKING:
    from mmar_runner.interfaces.client_trainer import TrainerContext

#: Variables of the component's process that its commands are not given.
_KEPT_BACK: Final = frozenset({"MMAR_RUNNER_PLUGINS", "TMPDIR"})
#: What begins so is the runner's to say.
PREFIX: Final = "MMAR_RUNNER_"
#: How much of what one command prints is kept, in bytes.
LOG_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class WorkPlace:
    """The folders of one component's commands; they live as long as the component.

    Attributes:
        package: The MMAR, in which commands work; it is read-only, where it was delivered.
        scratch: What commands may write: their ``TMPDIR``, and the first thing to be emptied.
        exchange: Where the files lie that they are given, and those that they give back.
        cache: Where Python keeps what it compiled.
    """

    package: Path
    scratch: Path
    exchange: Path
    cache: Path

    @classmethod
    def of(cls, context: TrainerContext, name: str) -> WorkPlace:
        """Make the folders of a component, without what an earlier process left in them.

        Args:
            context: Of the component.
            name: Names the component among those that may share its workspace.

        Raises:
            StorageError: They cannot be made.
        """
        base = (context.workspace / name).absolute()
        with translated(base):
            shutil.rmtree(base, ignore_errors=True)
            for folder in ("scratch", "exchange", "cache"):
                (base / folder).mkdir(parents=True)
        return cls(context.mmar.absolute(), base / "scratch", base / "exchange", base / "cache")

    def remove(self) -> None:
        """Delete the folders; what cannot be deleted is, when the component is set up again."""
        shutil.rmtree(self.scratch.parent, ignore_errors=True)

    def new_file(self, name: str) -> Path:
        """Return the path of a file that a command is to write; nothing lies there.

        Raises:
            StorageError: What lies there cannot be removed.
        """
        path = self.exchange / name
        with translated(path):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            path.unlink(missing_ok=True)
        return path

    def surroundings(self, told: Mapping[str, Any], own: Mapping[str, Any]) -> Surroundings:
        """Return where a command runs.

        Args:
            told: What the runner says, by name without `PREFIX`.
            own: Variables that the MMAR declares.
        """
        env = {
            **_inherited(),
            "TMPDIR": str(self.scratch),
            "PYTHONPYCACHEPREFIX": str(self.cache),
            **{name: _text(value) for name, value in own.items()},
            **{f"{PREFIX}{name}": _text(value) for name, value in told.items()},
            f"{PREFIX}PACKAGE": str(self.package),
            f"{PREFIX}SCRATCH": str(self.scratch),
        }
        return Surroundings(self.package, env, LOG_BYTES)


def _inherited() -> dict[str, str]:
    """Return what a command has of this process: what every child has, and nothing of a kit."""
    names = {*INHERITED, *THREADS, *FIXED} - _KEPT_BACK
    env = {name: os.environ[name] for name in sorted(names) if name in os.environ}
    # `python` means the one that runs this: it has the packages that were installed beside it.
    path = env.get("PATH", os.defpath)
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{path}"
    return env


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
