# SPDX-License-Identifier: Apache-2.0
"""The server's workspace on disk: its lock, its endpoint, its runs and their files."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import InUseError, StorageError
from mmar_runner.storage.atomic import make_folder, publish, sync_tree, write_json_atomic

if TYPE_CHECKING:
    from collections.abc import Iterator

_log = logging.getLogger(__name__)

_RUN_NAME: Final = re.compile(r"run_([1-9][0-9]*)")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where the files of one run lie: ``WORKSPACE/run_<N>``."""

    path: Path
    number: int

    @property
    def mmar(self) -> Path:
        """The verified, read-only copy of the MMAR."""
        return self.path / "mmar"

    @property
    def models(self) -> Path:
        """Models of rounds, the best and the final one."""
        return self.path / "models"

    @property
    def best_local(self) -> Path:
        """Return where clients' best local models lie during cross-site validation."""
        return self.path / "cross_site_validation" / "models"

    @property
    def updates(self) -> Path:
        """Updates of rounds whose result is not yet committed."""
        return self.path / "updates"

    @property
    def journal(self) -> Path:
        """The truth about the run."""
        return self.path / "journal.db"

    @property
    def events(self) -> Path:
        """The journal's projection, one JSON object a line."""
        return self.path / "events.jsonl"

    @property
    def summary(self) -> Path:
        """The summary of the run."""
        return self.path / "summary.json"

    @property
    def status(self) -> Path:
        """What the run is at, and what it waits for."""
        return self.path / "status.json"

    @property
    def logs(self) -> Path:
        """What child processes printed."""
        return self.path / "logs"

    def model(self, round_number: int) -> Path:
        """Return the file of the model that clients receive in a round."""
        return self.models / f"round_{round_number:04d}.safetensors"

    def server_state(self, round_number: int) -> Path:
        """Return the file of what the aggregator keeps, as a round finds it."""
        return self.models / f"state_{round_number:04d}.safetensors"

    def create(self, mmar: Path, *, durable: bool = False) -> None:
        """Make the folders and copy the MMAR, read-only: every file that its digest covers.

        Args:
            mmar: The folder to copy.
            durable: True to return only once all of it is on the disk.
        """
        try:
            for folder in (self.path, self.models, self.updates, self.logs):
                make_folder(folder, durable=durable)
            if not self.mmar.exists():
                _copy_read_only(mmar, self.mmar, durable=durable)
        except OSError as error:
            msg = f"the run's folder {self.path} cannot be prepared: {_cause(error)}"
            raise StorageError(msg, hint="choose another folder with --workspace") from error

    @property
    def is_empty(self) -> bool:
        """Whether nothing lies here that a run has done: no summary, no result, no update.

        A run whose server ended while it was being prepared leaves no more than its MMAR
        and the model to begin with.
        """
        models = list(self.models.glob("*.safetensors"))
        begun = self.summary.exists() or any(self.updates.rglob("*.safetensors"))
        return not begun and len(models) <= 1 and all(_is_round(path) for path in models)

    def clear(self) -> bool:
        """Remove everything; return False if something cannot be removed."""
        shutil.rmtree(self.path, ignore_errors=True)
        return not self.path.exists()


class Workspace:
    """A folder with runs, used by one server at a time.

    Args:
        path: The folder.
        durable: Whether its name is on the disk before a run begins in it.
    """

    def __init__(self, path: Path, *, durable: bool = False) -> None:
        self.path = path
        self._durable = durable

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the workspace for this process.

        Raises:
            InUseError: Another server holds it.
            StorageError: It cannot be written.
        """
        try:
            make_folder(self.path, durable=self._durable)
            descriptor = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            msg = f"the workspace {self.path} cannot be written: {error.strerror}"
            raise StorageError(msg, hint="choose another folder with --workspace") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            msg = f"another server works in {self.path}"
            hint = "stop it first, or give this one its own --workspace"
            raise InUseError(msg, hint=hint, reason="WORKSPACE_IN_USE") from error
        try:
            yield
        finally:
            os.close(descriptor)

    def holder(self) -> int | None:
        """Return the process that holds the workspace; None if none does, or that is not known.

        It is not tried to hold it: a server that starts at that moment would find it held.
        """
        try:
            lock = (self.path / ".lock").stat()
            locks = Path("/proc/locks").read_text()
        except OSError:  # nobody has ever held it, or this system does not tell
            return None
        file = f"{os.major(lock.st_dev):02x}:{os.minor(lock.st_dev):02x}:{lock.st_ino}"
        held = (line.split() for line in locks.splitlines() if " FLOCK " in line)
        pids = (int(words[4]) for words in held if words[5] == file)
        return next((pid for pid in pids if pid > 0), None)  # 0 is one of another container

    def runs(self) -> list[RunFolder]:
        """Return the folders of all runs, the highest number first."""
        numbers = [
            int(match[1])
            for entry in self.path.iterdir()
            if (match := _RUN_NAME.fullmatch(entry.name)) and entry.is_dir()
        ]
        return [self.run(number) for number in sorted(numbers, reverse=True)]

    def last_run(self) -> RunFolder | None:
        """Return the run with the highest number that may have begun, or else any; or None."""
        runs = self.runs()
        return next((run for run in runs if run.journal.exists()), runs[0] if runs else None)

    def run(self, number: int) -> RunFolder:
        """Return a run's folder; it need not exist."""
        return RunFolder(self.path / f"run_{number}", number)

    @contextmanager
    def endpoint(
        self, listen: str, *, admin: str | None = None, metrics: str | None = None
    ) -> Iterator[None]:
        """Publish where the server listens for as long as it accepts connections.

        Args:
            listen: To clients.
            admin: To administrators; None if it does not.
            metrics: To whoever scrapes metrics; None if it serves none.
        """
        file = self.path / "endpoint.json"
        found = {"listen": listen, "admin": admin, "metrics": metrics, "pid": os.getpid()}
        write_json_atomic(file, found)
        try:
            yield
        finally:
            try:
                file.unlink(missing_ok=True)
            except OSError as error:  # how a run has ended does not depend on it
                _log.warning("%s is left behind: %s", file, error.strerror)


def _is_round(model: Path) -> bool:
    return model.name.startswith("round_")


def _copy_read_only(source: Path, destination: Path, *, durable: bool) -> None:
    partial = destination.with_name(destination.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial, ignore=_links_to_folders)
    for path in partial.rglob("*"):
        if path.is_file():
            path.chmod(0o444)
    if durable:
        sync_tree(partial)
    publish(partial, destination, durable=durable)


def _links_to_folders(folder: str, names: list[str]) -> list[str]:
    """Return what `shutil.copytree` leaves out.

    A link to a folder leads to one that is copied in its own place, or round in circles.
    """
    return [name for name in names if _is_link_to_folder(Path(folder, name))]


def _is_link_to_folder(path: Path) -> bool:
    return path.is_symlink() and path.is_dir()


def _cause(error: OSError) -> str:
    """Return what the system said; a copy of many files says it once for each."""
    if isinstance(error, shutil.Error) and error.args[0]:
        return str(error.args[0][0][-1])
    return error.strerror or str(error)
