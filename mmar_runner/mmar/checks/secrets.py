# SPDX-License-Identifier: Apache-2.0
"""Does the MMAR hold a private key? Every site would be given it."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mmar_runner.mmar.finding import Findings
    from mmar_runner.mmar.folder import MmarFolder

#: Keys are small: larger files are not looked into.
_BYTES: Final = 64 * 1024
#: How a private key begins as text, on a line of its own.
_KEY: Final = re.compile(
    rb"^-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY-----[ \t]*\r?$", re.MULTILINE
)
#: Files that hold private keys in other forms.
_STORES: Final = frozenset({".p12", ".pfx", ".jks", ".keystore", ".ppk"})


def check_secrets(folder: MmarFolder, findings: Findings) -> None:
    """Say which files hold a private key; nothing else is said of these, whatever they are."""
    held = set()
    for file in folder.contents:
        if not holds_key(folder, file):
            continue
        what = "is a store of keys" if _is_store(file) else "holds a private key"
        message = f"The file {what}: every site that gets the MMAR gets it."
        hint = "Remove it, and replace the key if anybody was given it: keys belong into kits."
        findings.add("MMAR645", message, file=file, hint=hint)
        held.add(file)
    findings.remove([f for f in findings.with_code("MMAR622") if f.file in held])


def holds_key(folder: MmarFolder, file: str) -> bool:
    """Return True for a file that is, or holds, a private key."""
    if _is_store(file):
        return True
    return folder.contents[file] <= _BYTES and _reads_as_key(folder, file)


def _is_store(file: str) -> bool:
    return posixpath.splitext(file)[1].lower() in _STORES


def _reads_as_key(folder: MmarFolder, file: str) -> bool:
    try:
        with folder.open(file) as stream:
            return _KEY.search(stream.read(_BYTES)) is not None
    except OSError:
        return False  # the listing says so
