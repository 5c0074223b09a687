# SPDX-License-Identifier: Apache-2.0
"""The global model's life on disk: initial, of each round, best and final."""

from __future__ import annotations

import os
import re
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import DigestError, RefusedError, StorageError
from mmar_runner.storage.atomic import storage_error
from mmar_runner.storage.model_schema import ModelSchema
from mmar_runner.storage.safetensors_format import read_header
from mmar_runner.storage.tensor_files import sha256_file
from mmar_runner.wire.limits import INLINE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mmar_runner.server.workspace import RunFolder

_ROUND_ID: Final = re.compile(r"round_([0-9]{1,9})")
#: Letters of an unknown model's id that are repeated to whoever asked.
_MAX_ID: Final = 100


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One model file that is whole and will not change.

    Attributes:
        path: Where it lies.
        sha256: Of the whole file, hex.
        size: In bytes.
        inline: The whole file, if it is small enough to travel in one message.
    """

    path: Path
    sha256: str
    size: int
    inline: bytes | None

    @classmethod
    def load(cls, path: Path, sha256: str) -> ModelFile:
        """Describe a file whose digest is known."""
        size = path.stat().st_size
        inline = path.read_bytes() if size <= INLINE_BYTES else None
        return cls(path, sha256, size, inline)


class ModelStore:
    """The models of one run.

    Args:
        folder: The run's folder.
        keep: How many of the newest round models stay; None keeps all.
    """

    def __init__(self, folder: RunFolder, *, keep: int | None) -> None:
        self._folder = folder
        self._keep = None if keep is None else max(keep, 1)
        self._readers: Counter[str] = Counter()
        self._spare = folder.models / ".spare"
        self._digests: dict[str, tuple[tuple[int, int, int], str]] = {}

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
        try:
            found = sha256_file(path)
        except OSError as error:
            msg = f"the model of round {round_number} cannot be read: {path}: {error.strerror}"
            raise StorageError(msg, hint="start a new run with --new-run") from error
        if sha256 is not None and found != sha256:
            msg = f"the model of round {round_number} is damaged: {path} is not the recorded file"
            raise DigestError(msg, hint="restore the file, or start a new run with --new-run")
        return ModelFile.load(path, found), ModelSchema.from_header(read_header(path))

    @contextmanager
    def reading(self, model: ModelFile) -> Iterator[None]:
        """Keep a model's bytes as they are while they are sent."""
        self._readers[model.path.name] += 1
        try:
            yield
        finally:
            self._readers[model.path.name] -= 1

    def discard_older(self, round_number: int) -> None:
        """Delete round models that are older than the newest few.

        One that nobody reads and that has no second name stays as a spare: to write
        over a file is many times faster than to write a new one.
        """
        if self._keep is None:
            return
        oldest = self._folder.model(round_number - self._keep + 1).name
        for path in self._folder.models.glob("round_*.safetensors"):
            if path.name >= oldest:
                continue
            if self._readers[path.name] or path.stat().st_nlink > 1:
                path.unlink()
            else:
                path.replace(self._spare)

    def spare(self) -> Path | None:
        """Return a file that may be written over, or None."""
        return self._spare if self._spare.exists() else None

    def close(self) -> None:
        """Delete the spare file."""
        self._spare.unlink(missing_ok=True)

    def publish(self, round_number: int, name: str) -> Path:
        """Make a round's model also available under a name, without copying it."""
        target = self._folder.models / f"{name}.safetensors"
        partial = target.with_suffix(".part")
        try:
            partial.unlink(missing_ok=True)
            os.link(self._folder.model(round_number), partial)
            partial.replace(target)
        except OSError as error:
            raise storage_error(error, target) from error
        return target

    def by_id(self, model_id: str) -> ModelFile:
        """Return a stored model by ``final``, ``best`` or ``round_<k>``.

        Raises:
            RefusedError: MODEL_UNKNOWN.
        """
        name = model_id
        if (match := _ROUND_ID.fullmatch(model_id)) is not None:
            name = f"round_{int(match[1]):04d}"
        known = {path.stem: path for path in self._folder.models.glob("*.safetensors")}
        if name not in known:
            msg = f"there is no model {model_id[:_MAX_ID]!r} in this run"
            raise RefusedError(msg, reason="MODEL_UNKNOWN", hint=f"known: {sorted(known)}")
        return ModelFile.load(known[name], self._digest(known[name]))

    def _digest(self, path: Path) -> str:
        """Return a file's digest; whoever asks often does not have it read often."""
        found = path.stat()
        stamp = (found.st_ino, found.st_size, found.st_mtime_ns)
        known = self._digests.get(path.name)
        if known is None or known[0] != stamp:
            known = self._digests[path.name] = (stamp, sha256_file(path))
        return known[1]
