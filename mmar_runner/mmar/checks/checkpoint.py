# SPDX-License-Identifier: Apache-2.0
"""Can the checkpoint be read that a run starts from, and loaded? Told from its first bytes."""

from __future__ import annotations

import os
import posixpath
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.documents.schema_check import show
from mmar_runner.documents.strict_json import parse_strict
from mmar_runner.interfaces.nested import is_off
from mmar_runner.mmar.checks.tensors import shapes_of, trained_models, with_defaults

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.document import Document

_PATH: JsonPath = ("ckpt_preload_path",)
_SAFETENSORS: Final = ".safetensors"
#: How a file begins that ``torch.save`` wrote: a zip archive, or an old pickle.
_TORCH: Final = (b"PK\x03\x04", b"\x80")
_TORCH_SUFFIXES: Final = frozenset({".pt", ".pth"})
_LENGTH: Final = struct.Struct("<Q")
#: The most bytes of a header that are looked at.
_HEADER: Final = 8 * 1024 * 1024
#: Bytes beyond which a file says nothing true of itself.
_FAR: Final = 2**63
#: How safetensors call the numbers of a network whose plugin states its tensors.
_FLOAT: Final = "F32"
#: Letters of a tensor's name that are repeated.
_SHOWN: Final = 100


@dataclass(frozen=True, slots=True)
class _Begin:
    """What a safetensors file begins with.

    Attributes:
        tensors: What it says of each tensor; empty if it is no safetensors file.
        wanted: How many bytes the file must have; None if that is not known.
    """

    tensors: Mapping[str, Any]
    wanted: int | None = None


def check_checkpoint(look: Look, server: Document, name: str) -> None:
    """Check a checkpoint that lies in the MMAR, and that somebody can read its format.

    Args:
        look: The MMAR, and where findings go.
        server: The server file.
        name: The checkpoint, as ``ckpt_preload_path`` names it.
    """
    suffix = posixpath.splitext(name)[1]
    fault = _nobody_reads(look, server, suffix) or _damaged(look, server, name, suffix)
    if fault is not None:
        message, hint = fault
        look.findings.at(server, _PATH, "MMAR631", message, hint=hint)


def _nobody_reads(look: Look, server: Document, suffix: str) -> tuple[str, str] | None:
    if suffix == _SAFETENSORS:
        return None
    slot = server.get(("model_persistor",), {})
    if isinstance(slot, dict) and is_off(slot):
        message = "The server itself reads .safetensors only, and there is no model_persistor."
        return message, "Declare a model_persistor that reads the checkpoint, or convert the file."
    persistor = look.server_parts.singles.get(("model_persistor",))
    description = None if persistor is None else persistor.description
    reads = None if description is None else description.extras.get("reads_checkpoints")
    if description is None or reads is None or suffix in reads:
        return None
    formats = ", ".join([_SAFETENSORS, *reads])
    return (
        f"'{description.name}' reads no checkpoint of the format '{suffix}'.",
        f"Name a file of a format that can be read: {formats}.",
    )


def _damaged(look: Look, server: Document, name: str, suffix: str) -> tuple[str, str] | None:
    if posixpath.isabs(name) or not look.folder.inside(name):
        return None
    try:
        with look.folder.open(name) as stream:
            begin = stream.read(_LENGTH.size + _HEADER)
            size = os.fstat(stream.fileno()).st_size
    except OSError:
        return None  # the listing says so
    if suffix.lower() in _TORCH_SUFFIXES and not begin.startswith(_TORCH):
        return f"{name} is no file of torch.save.", "Save the state_dict again with torch.save."
    return _unfit(look, server, name, begin, size) if suffix == _SAFETENSORS else None


def _unfit(
    look: Look, server: Document, name: str, data: bytes, size: int
) -> tuple[str, str] | None:
    """Return what is wrong with a safetensors file; say it if only its tensors do not fit."""
    if len(data) > _LENGTH.size and _LENGTH.unpack(data[: _LENGTH.size])[0] > _HEADER:
        return None  # whoever reads the file has a limit of its own
    begin = _begin(data)
    if not begin.tensors:
        message = f"{name} is no safetensors file, or holds no tensor."
        return message, "Save the tensors again with safetensors."
    if begin.wanted is not None and begin.wanted != size:
        what = "is cut off" if size < begin.wanted else "goes on after its last tensor"
        message = f"{name} {what}: it has {size} bytes, and its tensors need {begin.wanted}."
        return message, "Copy the whole file again, or save the tensors again with safetensors."
    _compare(look, server, name, begin.tensors)
    return None


def _begin(data: bytes) -> _Begin:
    """Read the list of its tensors with which a safetensors file begins."""
    if len(data) <= _LENGTH.size:
        return _Begin({})
    (length,) = _LENGTH.unpack(data[: _LENGTH.size])
    try:
        found = parse_strict(data[_LENGTH.size :][:length], limit=_HEADER)
    except ValueError:
        return _Begin({})
    if not isinstance(found, dict):
        return _Begin({})
    tensors = {name: stated for name, stated in found.items() if name != "__metadata__"}
    ends = [_end(stated) for stated in tensors.values()]
    known = [end for end in ends if end is not None]
    whole = known and len(known) == len(ends)
    return _Begin(tensors, _LENGTH.size + length + max(known) if whole else None)


def _end(stated: Any) -> int | None:
    """Return where a tensor's bytes end, counted from the end of the list; None if unknown."""
    offsets = stated.get("data_offsets") if isinstance(stated, dict) else None
    if isinstance(offsets, list) and len(offsets) == len(("begin", "end")):
        return offsets[1] if type(offsets[1]) is int and 0 <= offsets[1] < _FAR else None
    return None


def _compare(look: Look, server: Document, name: str, tensors: Mapping[str, Any]) -> None:
    """Compare the tensors of a checkpoint with those of the networks that would load them."""
    train = look.files.train
    if train is None or look.both() is None:
        return
    for path, declaration in trained_models(look, train):
        shapes = None if look.findings.has_within(train, path) else shapes_of(look, declaration)
        if shapes is None:
            continue
        network = with_defaults(look, declaration)[0]
        for tensor, stated in tensors.items():
            message = _difference(tensor, stated, shapes, network, name)
            if message is not None:
                hint = "Name a checkpoint of this network, or declare the network it was made of."
                look.findings.at(server, _PATH, "MMAR640", message, hint=hint)
                return


def _difference(
    tensor: str, stated: Any, shapes: Mapping[str, tuple[int, ...]], network: str, name: str
) -> str | None:
    if not isinstance(stated, dict):
        return None
    kind, shape = stated.get("dtype"), stated.get("shape")
    found = f"{name} holds {tensor[:_SHOWN]!r} {str(kind)[:_SHOWN]}{show(shape)}"
    if tensor not in shapes:
        return f"{found}, which the '{network}' of config_train.json does not have."
    if (kind, shape) == (_FLOAT, list(shapes[tensor])):
        return None
    return f"{found}; in the '{network}' of config_train.json it is {_FLOAT}{[*shapes[tensor]]}."
