# SPDX-License-Identifier: Apache-2.0
"""Tensors in shareables: put in for older code, and taken out of what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mmar_runner.errors import TaskFailedError
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.storage.tensor_files import TensorReader
from mmar_runner_clara_code.api.constants import ReturnCode, ShareableKey, ShareableValue
from mmar_runner_clara_code.api.dxo import DXO, dxo_in
from mmar_runner_clara_code.api.shareable import Shareable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

    from mmar_runner_clara_code.older import Older

_TYPES: Final = {
    UpdateKind.WEIGHTS: ShareableValue.TYPE_WEIGHTS,
    UpdateKind.WEIGHT_DIFF: ShareableValue.TYPE_WEIGHT_DIFF,
}
_KINDS: Final = {value: kind for kind, value in _TYPES.items()}


@dataclass(frozen=True, slots=True)
class Taken:
    """What was in a shareable.

    Attributes:
        tensors: By name.
        kind: What they are.
        meta: What is said of them.
    """

    tensors: dict[str, npt.NDArray[Any]]
    kind: UpdateKind
    meta: Mapping[str, Any]


def read_tensors(file: Path) -> dict[str, npt.NDArray[Any]]:
    """Return a file's tensors, in element types that older code knows.

    Raises:
        StorageError: It cannot be read.
    """
    with TensorReader(file) as reader:
        return {name: plain(reader.read(name)) for name in reader.header.tensors}


def plain(tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a tensor in float32 if numpy itself does not know its element type."""
    return tensor.astype(np.float32) if tensor.dtype.kind == "V" else tensor


def shareable_of(
    tensors: dict[str, npt.NDArray[Any]], kind: UpdateKind, meta: dict[str, Any]
) -> Shareable:
    """Return a shareable with the same tensors under the older key and as a DXO."""
    shareable = DXO(_TYPES[kind], tensors, meta).to_shareable()
    shareable[ShareableKey.TYPE] = _TYPES[kind]
    shareable[ShareableKey.DATA_TYPE] = ShareableValue.DATA_TYPE_UNENCRYPTED
    shareable[ShareableKey.MODEL_WEIGHTS] = tensors
    shareable[ShareableKey.META] = meta
    return shareable


def taken_from(
    older: Older, answer: object, kind: UpdateKind, given: dict[str, Any] | None = None
) -> Taken:
    """Return what older code answered.

    Args:
        older: Whose answer it is.
        answer: The shareable.
        kind: What its tensors are if it does not say.
        given: The tensors that were put in, which may have been changed in place.

    Raises:
        TaskFailedError: It holds no tensors that can be used, or says that it failed.
    """
    if not isinstance(answer, dict):
        raise older.fail(f"answered with a {type(answer).__name__}, not with a Shareable")
    if isinstance(answer, Shareable) and answer.get_return_code() != ReturnCode.OK:
        raise older.fail(_why(answer))
    if answer.get(ShareableKey.DATA_TYPE) == ShareableValue.DATA_TYPE_ENCRYPTED:
        raise older.fail("encrypts the tensors, which nothing here can read")
    data, said, meta = _contents(answer, given)
    if said is not None and said not in _KINDS:
        raise older.fail(f"answered with {said!r}, which is neither weights nor differences")
    if not isinstance(data, dict):
        raise older.fail("answered with a Shareable that holds no tensors by name")
    tensors = {str(name): _array(older, str(name), value) for name, value in data.items()}
    found = kind if said is None else _KINDS[said]
    return Taken(tensors, found, meta if isinstance(meta, dict) else {})


def fitting(
    older: Older, taken: Mapping[str, npt.NDArray[Any]], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """Check that tensors are some of a model's.

    Raises:
        TaskFailedError: One is not, or has another shape.
    """
    for name, tensor in taken.items():
        if name not in shapes:
            raise older.fail(f"answered with the tensor {name!r}, which the model has not")
        if tensor.shape != tuple(shapes[name]):
            was = f"{list(tensor.shape)} in place of {list(shapes[name])}"
            raise older.fail(f"answered with the tensor {name!r} in the shape {was}")


def _contents(
    answer: Mapping[Any, Any], given: dict[str, Any] | None
) -> tuple[object, object, object]:
    """Return tensors, what they are, and what is said of them: of two forms, the changed one."""
    plain_form = answer.get(ShareableKey.MODEL_WEIGHTS)
    wrapped = dxo_in(Shareable(answer))
    if wrapped is not None and (plain_form is None or plain_form is given):
        kind = wrapped.data_kind
        if plain_form is not None and wrapped.data is given:
            kind = answer.get(ShareableKey.TYPE, kind)
        return wrapped.data, kind, wrapped.meta
    return plain_form, answer.get(ShareableKey.TYPE), answer.get(ShareableKey.META)


def _array(older: Older, name: str, value: Any) -> npt.NDArray[Any]:
    """Return a tensor as numpy's, a framework's too."""
    if callable(getattr(value, "detach", None)):
        value = value.detach().cpu()
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise older.fail(f"answered with {name!r}, which is no tensor: {error}") from error
    if array.dtype.kind not in "fiub":
        raise older.fail(f"answered with {name!r}, whose elements are {array.dtype}")
    return array


def _why(answer: Shareable) -> str:
    reason = answer.get_header("reason", "")
    said = f"answered that it failed ({answer.get_return_code()})"
    return f"{said}: {reason}" if reason else said


def samples_of(meta: Mapping[str, Any], key: str) -> float:
    """Return how many iterations are said to have been done; 1 if that is not said.

    Raises:
        TaskFailedError: It is no number.
    """
    value = meta.get(key, 1.0)
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        msg = f"{key} is {value!r}, which is no number"
        raise TaskFailedError(msg) from error
