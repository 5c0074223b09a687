# SPDX-License-Identifier: Apache-2.0
"""A policy file as it was read: its value, its positions, its digest, all its faults."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.documents.json_reader import read_json
from mmar_runner.documents.limits import DEFAULT_LIMITS
from mmar_runner.documents.schema_check import faults
from mmar_runner.documents.schema_store import load_schema
from mmar_runner.documents.words import pointer_text
from mmar_runner.errors import UsageError
from mmar_runner.security.decision import Place
from mmar_runner.storage.bounded import read_bounded

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mmar_runner.documents.json_source import JsonPath, JsonSource

#: Keys that only the project's policy has, and only a site's.
AUTHORIZATION_KEYS: Final = frozenset({"roles", "groups", "users", "orgs", "sites"})
SITE_KEYS: Final = frozenset({"allowed_path_prefixes", "byoc", "signatures", "mandatory_filters"})
#: Stable id of a policy file that cannot be used.
REASON: Final = "POLICY_INVALID"


@dataclass(frozen=True, slots=True)
class PolicyFault:
    """One thing that is wrong in a policy file.

    Attributes:
        place: Where.
        message: What, one sentence.
        hint: The mend, or None.
    """

    place: Place
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class PolicyDocument:
    """A policy file that was read.

    Attributes:
        file: Its path, as it was named.
        source: The text, the value and every position.
        sha256: Of the file's bytes, hex.
    """

    file: str
    source: JsonSource
    sha256: str

    @property
    def value(self) -> Any:
        """The JSON value."""
        return self.source.value

    def place(self, *path: str | int, key: bool = False) -> Place:
        """Return where a value stands (or its key), or the nearest thing around it."""
        while path and path not in self.source.values:
            path = path[:-1]
        line, column = self.source.locate(path, key=key)
        return Place(self.file, line, column, pointer_text(path))

    def fault(
        self, path: JsonPath, message: str, hint: str | None = None, *, key: bool = False
    ) -> PolicyFault:
        """Return a fault at a place of this file."""
        return PolicyFault(self.place(*path, key=key), message, hint)


def read_policy_document(path: Path) -> PolicyDocument:
    """Read a policy file, whatever is in it.

    Raises:
        UsageError: It cannot be read, is too large, is not JSON, or has a key twice.
    """
    data = _read(path)
    source = read_json(_decoded(path, data))
    document = PolicyDocument(str(path), source, sha256(data).hexdigest())
    found = [
        PolicyFault(Place(str(path), *source.position(p.offset)), p.message, p.hint)
        for p in source.problems
    ]
    refuse_faults(document.file, found, "Write plain JSON; no policy needs more than the limits.")
    return document


def _read(path: Path) -> bytes:
    limit = DEFAULT_LIMITS.json_bytes
    try:
        data = read_bounded(path, limit)
    except OSError as error:
        msg = f"The policy {path} cannot be read: {error.strerror}."
        hint = "It must be a file that this user may read."
        raise UsageError(msg, hint=hint, reason=REASON) from error
    if len(data) > limit:
        msg = f"The policy {path} has more than {limit} bytes."
        raise UsageError(msg, hint="No policy needs so many; is it the right file?", reason=REASON)
    return data


def _decoded(path: Path, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start]
        column = len(before.rpartition(b"\n")[2].decode()) + 1
        place = Place(str(path), before.count(b"\n") + 1, column)
        msg = f"{place}: The file is not UTF-8."
        raise UsageError(msg, hint="Save it as UTF-8.", reason=REASON) from error


def refuse_other(
    document: PolicyDocument, own: frozenset[str], other: frozenset[str], what: str, hint: str
) -> None:
    """Refuse a file that is the other of the two policies, in place of every fault in it.

    Args:
        document: What was read.
        own: Keys of the policy that is needed.
        other: Keys of the other one.
        what: What the file is then, and what is needed.
        hint: Which file that is.

    Raises:
        UsageError: POLICY_INVALID, most of its keys are the other's.
    """
    keys = document.value.keys() if isinstance(document.value, dict) else set()
    if len(keys & other) > len(keys & own):
        raise UsageError(f"{document.file} {what}", hint=hint, reason=REASON)


def schema_faults(document: PolicyDocument, schema: str) -> list[PolicyFault]:
    """Return everything in which a policy file does not fit a schema."""
    return [
        document.fault(fault.path, fault.message, fault.hint, key=fault.at_key)
        for fault in faults(load_schema(schema), document.value)
    ]


def refuse_faults(
    file: str, found: Sequence[PolicyFault], hint: str | None = None, *, reason: str = REASON
) -> None:
    """Raise one error that names every fault, if there is any.

    Args:
        file: The policy file.
        found: What is wrong in it.
        hint: The mend if a single fault has none of its own.
        reason: The stable id.

    Raises:
        UsageError: With that id, with every fault and its place.
    """
    ordered = sorted(found, key=lambda f: (f.place.line, f.place.column, f.message))
    if not ordered:
        return
    if len(ordered) == 1:
        (only,) = ordered
        msg = f"{only.place}: {only.message}"
        raise UsageError(msg, hint=only.hint or hint, reason=reason)
    lines = [f"{f.place}: {f.message}{f' {f.hint}' if f.hint else ''}" for f in ordered]
    msg = f"{file} has {len(ordered)} faults:\n" + "\n".join(f"  {line}" for line in lines)
    raise UsageError(msg, hint=hint, reason=reason)
