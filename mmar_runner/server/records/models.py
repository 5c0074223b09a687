# SPDX-License-Identifier: Apache-2.0
"""The global model's life on disk: initial, of each round, best and final."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections import Counter
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import DigestError, RefusedError, StorageError
from mmar_runner.server.records.losses import condition
from mmar_runner.server.records.model_file import Digests, ModelFile
from mmar_runner.server.records.record import LostModel
from mmar_runner.storage.atomic import publish, sync_file, sync_folder, translated
from mmar_runner.storage.model_schema import ModelSchema
from mmar_runner.storage.safetensors_format import read_header
from mmar_runner.storage.tensor_files import sha256_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mmar_runner.server.records.workspace import RunFolder

_ROUND_ID: Final = re.compile(r"round_([0-9]{1,10})")
#: Files that are of one round: its model, and what the aggregator keeps beside it.
_OF_ROUND: Final = re.compile(r"(round|state)_([0-9]{1,10})")
#: Models that an unfinished run keeps at least: the newest, and the one before.
_CHECKPOINTS: Final = 2
#: Errors of a system that lacks something for a moment: they say nothing of a file.
_PASSING: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
#: Letters of an unknown model's id that are repeated to whoever asked.
_MAX_ID: Final = 100


class ModelStore:
    """The models of one run.

    Args:
        folder: The run's folder.
        keep: How many of the newest round models stay; None keeps all. A run that is not
            finished keeps two: if the newest is damaged, it goes back to the one before.
        durable: Whether names that are given are on the disk before a call returns.
        bases: How many older than the newest updates may still be made from, in a run that is
            not finished.
    """

    def __init__(
        self, folder: RunFolder, *, keep: int | None, durable: bool = False, bases: int = 0
    ) -> None:
        self._folder = folder
        self._keep = keep
        self._bases = bases
        self._durable = durable
        self._readers: Counter[str] = Counter()
        self._spare = folder.models / ".spare"
        self._digests = Digests()

    def adopt(self, round_number: int, sha256: str | None) -> tuple[ModelFile, ModelSchema]:
        """Take the model file of a round as the current one.

        Args:
            round_number: The round in which clients receive it.
            sha256: What its digest must be; None computes it.

        Raises:
            DigestError: The file is not the one that was recorded.
            StorageError: There is no such file, or it cannot be read.
        """
        path = self._folder.model(round_number)
        if sha256 is not None and (lost := self.loss_of(round_number, sha256)) is not None:
            raise lost_error([lost], self._folder)
        with translated(path):
            found = self._digests.of(path)
        return ModelFile.load(path, found), ModelSchema.from_header(read_header(path))

    def take(self, source: Path, round_number: int, sha256: str, schema: ModelSchema) -> ModelFile:
        """Take a copy of a model that was made elsewhere as that of a round.

        Args:
            source: The file.
            round_number: The round in which clients receive it.
            sha256: What its digest must be, hex.
            schema: The tensors that it must hold.

        Raises:
            DigestError: It is another file.
            SchemaMismatchError: It holds other tensors.
            StorageError: It cannot be read or written.
        """
        target = self._folder.model(round_number)
        partial = target.with_suffix(".part")
        with translated(target):
            shutil.copyfile(source, partial)
        if sha256_file(partial) != sha256:
            msg = f"{source}, the model of round {round_number}, changed while it was taken over"
            raise DigestError(msg)
        schema.check(read_header(partial))
        if self._durable:
            sync_file(partial)
        publish(partial, target, durable=self._durable)
        return ModelFile.load(target, sha256)

    def loss_of(self, round_number: int, sha256: str) -> LostModel | None:
        """Say what is wrong with the model file of a round; None if it is the recorded one.

        Raises:
            StorageError: It may not be read, which is no damage.
        """
        return self.loss_of_file(self._folder.model(round_number).name, round_number, sha256)

    def loss_of_file(self, file: str, round_number: int, sha256: str) -> LostModel | None:
        """Say what is wrong with a file that should be the model of a round.

        Raises:
            StorageError: It may not be read, which is no damage.
        """
        path, found = self._folder.models / file, ""
        try:
            found = self._digests.of(path)
            reason = "damaged"
        except FileNotFoundError:
            reason = "missing"
        except (OSError, StorageError) as error:
            cause = error.__cause__ or error
            if isinstance(cause, PermissionError):
                raise StorageError(f"{path} may not be read") from error
            if isinstance(cause, OSError) and cause.errno in _PASSING:
                raise StorageError(f"{path} cannot be read now: {cause.strerror}") from error
            reason = "unreadable"
        return None if found == sha256 else LostModel(round_number, file, reason, sha256, found)

    def state_loss_of(self, round_number: int, sha256: str) -> LostModel | None:
        """Say what is wrong with the aggregator's state of a round; None if it is as recorded.

        Args:
            round_number: The round that finds it.
            sha256: What is on record of it; empty if the aggregator keeps none, or nothing yet.

        Raises:
            StorageError: It may not be read, which is no damage.
        """
        if not sha256:
            return None
        file = self._folder.server_state(round_number).name
        return self.loss_of_file(file, round_number, sha256)

    def state_file(self, round_number: int, sha256: str) -> ModelFile | None:
        """Return the aggregator's state of a round, which is whole; None if there is none."""
        return ModelFile.of(self._folder.server_state(round_number), sha256) if sha256 else None

    def forget_digest(self, model: ModelFile) -> None:
        """Have a file read, the next time that its digest is asked for."""
        self._digests.forget(model.path)

    def put_aside(self, file: str, times: int | None = None) -> None:
        """Give a damaged file another name: it is kept for whoever wants to see it.

        Args:
            file: Its name.
            times: How often it was, this time included: nothing happens if it was put aside
                that often already. None does it in any case.

        Raises:
            StorageError: It cannot be renamed.
        """
        path = self._folder.models / file
        names = (
            path.with_suffix(f".damaged{'' if n == 1 else f'-{n}'}") for n in count(times or 1)
        )
        target = next(name for name in names if times is not None or not name.exists())
        if path.exists() and not target.exists():
            publish(path, target, durable=self._durable)

    @contextmanager
    def reading(self, model: ModelFile) -> Iterator[None]:
        """Keep a model's bytes as they are while they are sent."""
        self._readers[model.path.name] += 1
        try:
            yield
        finally:
            self._readers[model.path.name] -= 1

    def discard_older(self, round_number: int, *, finished: bool = False) -> None:
        """Delete round models that are older than the newest few, and the states beside them.

        A model that nobody reads and that has no second name stays as a spare: to write
        over a file is many times faster than to write a new one.

        Args:
            round_number: The newest one's.
            finished: No round follows: there is nothing to go back for.
        """
        if self._keep is None:
            return
        keep = max(self._keep, 1 if finished else _CHECKPOINTS + self._bases)
        for path in self._folder.models.glob("*_*.safetensors"):
            # By number: from round 10000 on, names are no longer in the order of rounds.
            match = _OF_ROUND.fullmatch(path.stem)
            if match is None or int(match[2]) > round_number - keep:
                continue
            if match[1] == "state" or self._readers[path.name] or path.stat().st_nlink > 1:
                path.unlink()
            else:
                path.replace(self._spare)

    def spare(self) -> Path | None:
        """Return a file that may be written over, or None."""
        return self._spare if self._spare.exists() else None

    def close(self) -> None:
        """Delete the spare file."""
        self._spare.unlink(missing_ok=True)

    def publish(self, round_number: int, name: str, *, later: bool = False) -> Path:
        """Make a round's model also available under a name, without copying it.

        Args:
            round_number: The round in which clients receive it.
            name: ``best`` or ``final``.
            later: The name need not be on the disk before `settle` returns: whoever
                resumes the run gives it again.

        Raises:
            StorageError: The name cannot be given.
        """
        target = self._folder.models / f"{name}.safetensors"
        partial = target.with_suffix(".part")
        with translated(target):
            partial.unlink(missing_ok=True)
            os.link(self._folder.model(round_number), partial)
        # A link to the file that has the name already is left where it is by a rename.
        publish(partial, target, durable=self._durable and not later)
        partial.unlink(missing_ok=True)
        return target

    def settle(self) -> None:
        """Bring every name that was given to the disk, if that is asked for.

        Raises:
            StorageError: The folder cannot be synced.
        """
        if self._durable:
            sync_folder(self._folder.models)

    def by_id(self, model_id: str) -> ModelFile:
        """Return a stored model by ``final``, ``best`` or ``round_<k>``.

        Raises:
            RefusedError: MODEL_UNKNOWN.
        """
        name = model_id
        if (match := _ROUND_ID.fullmatch(model_id)) is not None:
            name = f"round_{int(match[1]):04d}"
        files = self._folder.models.glob("*.safetensors")
        known = {path.stem: path for path in files if not path.stem.startswith("state_")}
        if name not in known:
            msg = f"there is no model {model_id[:_MAX_ID]!r} in this run"
            raise RefusedError(msg, reason="MODEL_UNKNOWN", hint=f"known: {sorted(known)}")
        return ModelFile.load(known[name], self._digests.of(known[name]))


def lost_error(lost: Sequence[LostModel], folder: RunFolder) -> StorageError:
    """Return the error of a run that has no model left to go on with.

    Args:
        lost: The newest first.
        folder: The run's folder.
    """
    files = " and ".join(f"{folder.models / one.file} {condition(one)}" for one in lost)
    what = "aggregator's state" if lost[0].file.startswith("state_") else "model"
    msg = f"the {what} of round {lost[0].round} is damaged: {files}"
    file = "the file" if len(lost) == 1 else "one of these files, either will do"
    hint = f"restore {file}, or start a new run with --new-run"
    return (DigestError if lost[0].found else StorageError)(msg, hint=hint)
