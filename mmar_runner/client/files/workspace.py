# SPDX-License-Identifier: Apache-2.0
"""A client's folder on disk: its lock, its session key, and the files of each run."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mmar_runner.client.files.pending import PendingUpdate, Unsettled
from mmar_runner.client.files.slots import ModelSlots, SpareFiles
from mmar_runner.client.files.state import StateFolders
from mmar_runner.errors import RefusedError, StorageError
from mmar_runner.storage.atomic import translated, write_bytes_atomic, write_json_atomic, write_new

if TYPE_CHECKING:
    from collections.abc import Iterator

SESSION_KEY_BYTES: Final = 32
_SESSION_KEY_LOST: Final = "the server takes this client for another until its lease has ended"
_FILTER_KEY_LOST: Final = "filters draw other noise from then on, also for a round done again"
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class RunFiles:
    """The files of one run: ``<client's folder>/run_<N>``.

    Args:
        folder: Where they lie.
        number: The run.
        durable: Whether what counts is on the disk before it counts.
        spare: Where global models lie; None keeps them with the others.

    Attributes:
        folder: Where they lie.
        number: The run.
        state: What the trainer keeps between rounds.
        filter_state: What filters keep between rounds.
        ledger: What filters of the MMAR keep whether or not an update counts.
        site_ledger: The same of the site's own filters, for all runs of this client.
        trainer: The folder that the trainer may use as it likes.
        models: Where the global models lie that are needed.
        filtered_model: The global model after the inbound filters.
        site_filtered_model: The global model after the site's own inbound filters.
        update: Where the trainer writes its update.
        filtered_update: The update after the outbound filters.
        site_filtered_update: The update after the site's own outbound filters.
        wire_update: The update in the run's codec. The last of the four that was written is
            what leaves the site.
        best_local: The best local model as the trainer writes it for cross-site validation;
            ``filtered_best`` and ``site_filtered_best`` are what the filters make of it.
        to_validate: Somebody's model that is to be validated; likewise.
    """

    def __init__(
        self,
        folder: Path,
        number: int,
        *,
        durable: bool = True,
        spare: SpareFiles | None = None,
    ) -> None:
        self.folder = folder
        self.number = number
        self._durable = durable
        self.state = StateFolders(folder / "state", durable=durable)
        self.filter_state = StateFolders(folder / "filter_state", durable=durable)
        self.ledger = folder / "ledger"
        self.site_ledger = folder.parent / "ledger"
        self.trainer = folder / "trainer"
        self.models = ModelSlots(spare or SpareFiles(folder))
        self.filtered_model = folder / "model_filtered.safetensors"
        self.site_filtered_model = folder / "model_site_filtered.safetensors"
        self.update = folder / "update.safetensors"
        self.filtered_update = folder / "update_filtered.safetensors"
        self.site_filtered_update = folder / "update_site_filtered.safetensors"
        self.best_local = folder / "best_local.safetensors"
        self.filtered_best = folder / "best_local_filtered.safetensors"
        self.site_filtered_best = folder / "best_local_site_filtered.safetensors"
        self.to_validate = folder / "to_validate.safetensors"
        self.filtered_to_validate = folder / "to_validate_filtered.safetensors"
        self.site_filtered_to_validate = folder / "to_validate_site_filtered.safetensors"
        self.wire_update = folder / "update_wire.safetensors"
        self._pending = folder / "pending.json"
        self._unsettled = folder / "unsettled.json"
        self._keeps_pending: bool | None = None
        self._boot_id = boot_id()

    def log(self, role: str) -> Path:
        """Return the file that gets what a child prints."""
        return self.folder / "logs" / f"{role}.log"

    def create(self) -> None:
        """Make the folders.

        Raises:
            StorageError: The folder cannot be written.
        """
        with translated(self.folder):
            self.trainer.mkdir(parents=True, exist_ok=True)
        self.state.create()
        self.filter_state.create()

    def filter_key(self) -> bytes:
        """Return the key that never leaves the site, of which the secrets of filters are made.

        Raises:
            StorageError: It cannot be read or written, or others may read it.
        """
        key = self.folder.parent / "filter.key"
        return _own_key(key, _FILTER_KEY_LOST, durable=self._durable)

    def claim(self, run_id: str) -> None:
        """Let these be the files of one run; what another of the same number left goes aside.

        A server whose workspace is another one counts runs from the beginning: what a trainer
        kept for the run 1 of before must not be taken for what it keeps for this one.

        Args:
            run_id: Names the run; empty if the server does not say.

        Raises:
            StorageError: The folder cannot be renamed or written.
        """
        mark = self.folder / "run_id"
        with translated(self.folder):
            known = mark.read_text() if mark.is_file() else ""
            if not run_id or known == run_id:
                return
            if known:
                self.folder.rename(self.folder.with_name(f"{self.folder.name}.of_{known}"))
            self.folder.mkdir(parents=True, exist_ok=True)
            mark.unlink(missing_ok=True)  # one that is empty
        write_new(mark, run_id.encode(), mode=0o600, durable=self._durable)

    def keep_unsettled(self, unsettled: Unsettled) -> None:
        """Remember that filters have something left to do once the round's update counts."""
        write_json_atomic(self._unsettled, unsettled.to_json())

    def unsettled(self) -> Unsettled | None:
        """Return of which update filters have something left to do, if of any."""
        try:
            return Unsettled.from_json(json.loads(self._unsettled.read_bytes()))
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return None  # there is none, or it is damaged: others do without this client

    def forget_unsettled(self) -> None:
        """Forget it: nothing is left to do."""
        with translated(self._unsettled):
            self._unsettled.unlink(missing_ok=True)

    def keep_pending(self, update: PendingUpdate) -> None:
        """Remember a finished update until it is answered.

        It need not survive the machine: the boot id tells whether it has to be
        trusted, since without a sync its bytes may be lost while its name is not.
        """
        kept = {"boot_id": self._boot_id, "update": update.to_json()}
        self._keeps_pending = None  # until it is written
        write_bytes_atomic(self._pending, json.dumps(kept).encode())
        self._keeps_pending = True

    def pending(self, *, mmar_digest: str) -> PendingUpdate | None:
        """Return the unanswered update of this run, if it is still worth sending."""
        try:
            content = self._pending.read_bytes()
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                self._keeps_pending = False
            return None
        try:
            kept = json.loads(content)
            update = PendingUpdate.from_json(kept["update"])
            size = (self.folder / update.file).stat().st_size
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None  # it is damaged: the round is trained again
        trusted = kept.get("boot_id") == self._boot_id and size == update.facts.bytes
        ours = update.run_number == self.number and update.mmar_digest == mmar_digest
        return update if trusted and ours else None

    @property
    def keeps_pending(self) -> bool:
        """Whether an update is remembered, worth sending or not."""
        if self._keeps_pending is None:
            self._keeps_pending = self._pending.exists()
        return self._keeps_pending

    def forget_pending(self) -> None:
        """Forget the update that was answered."""
        with translated(self._pending):
            self._pending.unlink(missing_ok=True)
        self._keeps_pending = False


class ClientWorkspace:
    """The folder of one client, used by one session at a time.

    Args:
        path: Where it lies.
        durable: Whether what is to survive the machine's death is brought to the disk.
        spare: See `RunFiles`.
    """

    def __init__(
        self, path: Path, *, durable: bool = True, spare: SpareFiles | None = None
    ) -> None:
        self.path = path
        self._durable = durable
        self._spare = spare

    @contextmanager
    def held_above(self) -> Iterator[None]:
        """Use the folder below one that this program's server holds already.

        Raises:
            StorageError: It cannot be written.
        """
        with translated(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        yield

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Hold the folder for this process.

        Raises:
            RefusedError: NAME_TAKEN, another session of that name works in it.
            StorageError: It cannot be written.
        """
        with translated(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            descriptor = os.open(self.path / ".lock", flags, 0o600)
        try:
            _lock(descriptor, self.path, name)
            yield
        finally:
            os.close(descriptor)

    def session_key(self) -> bytes:
        """Return the random key by which the server knows this client again.

        Raises:
            StorageError: It cannot be read or written, or others may read it.
        """
        return _own_key(self.path / "session.key", _SESSION_KEY_LOST, durable=self._durable)

    def renew_session_key(self) -> None:
        """Be another session from the next one on; the server no longer wants the last.

        Raises:
            StorageError: It cannot be written.
        """
        path = self.path / "session.key"
        write_bytes_atomic(path, secrets.token_bytes(SESSION_KEY_BYTES), mode=0o600)

    def run(self, number: int, run_id: str = "") -> RunFiles:
        """Return the files of a run, its folders made.

        Args:
            number: The run's.
            run_id: See `RunFiles.claim`.
        """
        folder = self.path / f"run_{number}"
        files = RunFiles(folder, number, durable=self._durable, spare=self._spare)
        files.claim(run_id)
        files.create()
        return files


def _own_key(path: Path, if_removed: str, *, durable: bool) -> bytes:
    """Return the random bytes in a file, which is made if it is not there (mode 0600)."""
    with translated(path):
        if not path.exists():
            key = secrets.token_bytes(SESSION_KEY_BYTES)
            write_new(path, key, mode=0o600, durable=durable)
        if path.stat().st_mode & 0o077:
            msg = f"{path} can be read by others"
            raise StorageError(msg, hint=f"chmod 600 {path}")
        key = path.read_bytes()
    if len(key) != SESSION_KEY_BYTES:
        msg = f"{path} is damaged: it does not hold {SESSION_KEY_BYTES} bytes"
        raise StorageError(msg, hint=f"remove it; {if_removed}")
    return key


def boot_id() -> str:
    """Return what changes whenever the machine starts anew; empty if unknown."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def _lock(descriptor: int, path: Path, name: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        msg = f"the client name {name!r} is taken: another session works in {path}"
        hint = "choose another --name or --workspace, or stop that session"
        raise RefusedError(msg, reason="NAME_TAKEN", hint=hint) from error
