# SPDX-License-Identifier: Apache-2.0
"""Can the checkpoint that a run starts from be read? Told from its first bytes."""

from __future__ import annotations

import posixpath
import struct
from typing import TYPE_CHECKING, Final

from mmar_runner.mmar.declarations import is_off

if TYPE_CHECKING:
    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.document import Document
    from mmar_runner.mmar.look import Look

_PATH: JsonPath = ("ckpt_preload_path",)
_SAFETENSORS: Final = ".safetensors"
#: How a file begins that ``torch.save`` wrote: a zip archive, or an old pickle.
_TORCH: Final = (b"PK\x03\x04", b"\x80")
_TORCH_SUFFIXES: Final = frozenset({".pt", ".pth"})
_LENGTH: Final = struct.Struct("<Q")


def check_checkpoint(look: Look, server: Document, name: str) -> None:
    """Check a checkpoint that lies in the MMAR, and that somebody can read its format.

    Args:
        look: The MMAR, and where findings go.
        server: The server file.
        name: The checkpoint, as ``ckpt_preload_path`` names it.
    """
    suffix = posixpath.splitext(name)[1].lower()
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
            begin = stream.read(_LENGTH.size + 1)
            size = stream.seek(0, 2)
    except OSError:
        return None  # the listing says so
    if suffix == _SAFETENSORS and not _begins_safetensors(begin, size):
        return f"{name} is no safetensors file.", "Save the tensors again with safetensors."
    if suffix in _TORCH_SUFFIXES and not begin.startswith(_TORCH):
        return f"{name} is no file of torch.save.", "Save the state_dict again with torch.save."
    return None


def _begins_safetensors(begin: bytes, size: int) -> bool:
    if len(begin) <= _LENGTH.size:
        return False
    (length,) = _LENGTH.unpack(begin[: _LENGTH.size])
    return bool(begin[_LENGTH.size :] == b"{" and _LENGTH.size + length <= size)
