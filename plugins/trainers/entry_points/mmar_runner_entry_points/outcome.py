# SPDX-License-Identifier: Apache-2.0
"""What commands leave: models, metadata and metrics, none of them believed."""

from __future__ import annotations

import math
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeGuard

from mmar_runner.documents.strict_json import parse_strict
from mmar_runner.documents.words import some_of
from mmar_runner.errors import FormatError, StorageError, TaskFailedError
from mmar_runner.storage.atomic import translated
from mmar_runner.storage.bounded import read_bounded
from mmar_runner.storage.safetensors_format import read_header

if TYPE_CHECKING:
    from mmar_runner.storage.safetensors_format import TensorInfo

#: The most bytes of metadata or metrics.
_JSON_BYTES: Final = 1 << 20
#: Names that a sentence lists at most.
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a command says of an update.

    Attributes:
        num_examples: How many samples it is made of; positive and finite.
        metrics: Of the training.
        validation: Of the received model, if the command measured it too.
    """

    num_examples: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    validation: Mapping[str, float] = field(default_factory=dict)


def take_model(written: Path, destination: Path, like: Path | None, name: str) -> None:
    """Move a model that a command wrote to where it belongs.

    Args:
        written: Where the command was to write it.
        destination: Where it belongs.
        like: A model with the same tensors; None if it may have any.
        name: The entry point, for sentences.

    Raises:
        TaskFailedError: There is none, it is no safetensors file, or holds other tensors.
        StorageError: It cannot be moved.
    """
    _require_file(written, f"the entry point {name} did not write OUT")
    try:
        held = read_header(written, links=False).tensors
    except (FormatError, StorageError) as error:
        message = f"what the entry point {name} wrote to OUT is no safetensors model"
        hint = "write it with safetensors, such as safetensors.numpy.save_file(tensors, OUT)"
        raise TaskFailedError(f"{message}: {error.message}", hint=hint) from error
    if like is not None:
        _require_same(held, read_header(like).tensors, name)
    with translated(destination):
        written.replace(destination)


def read_metadata(file: Path) -> Metadata:
    """Return what the entry point train says of its update.

    Raises:
        TaskFailedError: There is no such file, or it does not hold what it must.
    """
    told = _read_object(file, "the metadata (OUT-metadata) of the entry point train")
    number = told.get("num_examples")
    if not _is_number(number) or number <= 0:
        message = "the metadata of the entry point train has no num_examples above 0"
        hint = 'write {"num_examples": N, "metrics": {...}} to OUT-metadata'
        raise TaskFailedError(f"{message}: it is {number!r:.80}", hint=hint)
    names = ("metrics", "validation")
    metrics, validation = (
        _metrics(told.get(name, {}), f"{name} in the metadata of the entry point train")
        for name in names
    )
    return Metadata(float(number), metrics, validation)


def read_metrics(file: Path) -> dict[str, float]:
    """Return the metrics that the entry point validate wrote.

    Raises:
        TaskFailedError: There is no such file, or it holds something else.
    """
    what = "what the entry point validate wrote to OUT"
    return _metrics(_read_object(file, what), what)


def _read_object(file: Path, what: str) -> dict[str, Any]:
    _require_file(file, f"{what} is missing")
    try:
        value = parse_strict(read_bounded(file, _JSON_BYTES), limit=_JSON_BYTES)
    except OSError as error:
        raise TaskFailedError(f"{what} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise TaskFailedError(f"{what} {error}", hint="write it with json.dump") from error
    if not isinstance(value, dict):
        hint = 'write a JSON object, such as {"accuracy": 0.9}'
        raise TaskFailedError(f"{what} is no JSON object", hint=hint)
    return value


def _metrics(value: Any, what: str) -> dict[str, float]:
    hint = 'write {"NAME": NUMBER, ...}, and leave the rest out'
    if not isinstance(value, dict):
        raise TaskFailedError(f"{what} is no JSON object", hint=hint)
    for name, one in value.items():
        if not _is_number(one):
            message = f"{what}: {name!r:.40} is {one!r:.40}, which is no finite number"
            raise TaskFailedError(message, hint=hint)
    return {name: float(one) for name, one in value.items()}


def _is_number(value: Any) -> TypeGuard[float]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _require_file(path: Path, message: str) -> None:
    """See that a command left a file of its own there, and neither a link nor a pipe.

    Raises:
        TaskFailedError: It did not.
    """
    hint = "the last arguments of the command say where to write"
    try:
        mode = path.lstat().st_mode
    except OSError as error:
        raise TaskFailedError(message, hint=hint) from error
    if not stat.S_ISREG(mode):
        raise TaskFailedError(f"{message}: what lies there is no plain file", hint=hint)


def _require_same(
    held: Mapping[str, TensorInfo], model: Mapping[str, TensorInfo], name: str
) -> None:
    """See that an update has the model's tensors, shapes and types.

    Raises:
        TaskFailedError: It has not; the message names some that differ.
    """
    wrong = [f"{one} is missing" for one in model if one not in held]
    wrong += [f"{one} is none of the model's" for one in held if one not in model]
    wrong += [
        f"{one} is {_shape(held[one])} and not {_shape(tensor)}"
        for one, tensor in model.items()
        if one in held and _shape(held[one]) != _shape(tensor)
    ]
    if wrong:
        message = f"what the entry point {name} wrote to OUT is no update of the model"
        hint = "write every tensor of IN, by its name, with its shape and type"
        raise TaskFailedError(f"{message}: {some_of(wrong, _SHOWN)}", hint=hint)


def _shape(tensor: TensorInfo) -> str:
    return f"{tensor.dtype}{list(tensor.shape)}"
