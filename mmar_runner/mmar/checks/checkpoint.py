# SPDX-License-Identifier: Apache-2.0
"""Can the checkpoint that a run starts from be read? Told from its first bytes."""

from __future__ import annotations

import posixpath
import struct
from typing import TYPE_CHECKING, Final

from mmar_runner.documents.strict_json import parse_strict
from mmar_runner.interfaces.nested import is_off

if TYPE_CHECKING:
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


def check_checkpoint(look: Look, server: Document, name: str) -> None:
    """Check a checkpoint that lies in the MMAR, and that somebody can read its format.

    Args:
        look: The MMAR, and where findings go.
        server: The server file.
        name: The checkpoint, as ``ckpt_preload_path`` names it.
    """
    suffix = posixpath.splitext(name)[1]
    fault = _nobody_reads(look, server, suffix) or _damaged(look, name, suffix)
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


def _damaged(look: Look, name: str, suffix: str) -> tuple[str, str] | None:
    if posixpath.isabs(name) or not look.folder.inside(name):
        return None
    try:
        with look.folder.open(name) as stream:
            begin = stream.read(_LENGTH.size + _HEADER)
    except OSError:
        return None  # the listing says so
    if suffix == _SAFETENSORS and not _is_header(begin):
        message = f"{name} is no safetensors file, or holds no tensor."
        return message, "Save the tensors again with safetensors."
    if suffix.lower() in _TORCH_SUFFIXES and not begin.startswith(_TORCH):
        return f"{name} is no file of torch.save.", "Save the state_dict again with torch.save."
    return None


def _is_header(begin: bytes) -> bool:
    """Return True if a file begins as safetensors do, with the list of its tensors."""
    if len(begin) <= _LENGTH.size:
        return False
    (length,) = _LENGTH.unpack(begin[: _LENGTH.size])
    if length > _HEADER:
        return True  # whoever reads the file has a limit of its own
    try:
        tensors = parse_strict(begin[_LENGTH.size :][:length], limit=_HEADER)
    except ValueError:
        return False
    return isinstance(tensors, dict) and bool(tensors.keys() - {"__metadata__"})
