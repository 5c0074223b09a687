# SPDX-License-Identifier: Apache-2.0
"""Changes of a site's policy file: the digests that it accepts and blocks."""

from __future__ import annotations

import json
import os
import re
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from mmar_runner.errors import UsageError
from mmar_runner.security.policy.document import REASON
from mmar_runner.security.policy.site_policy import load_policy
from mmar_runner.storage.atomic import translated, write_bytes_atomic
from mmar_runner.storage.locks import locked

if TYPE_CHECKING:
    from pathlib import Path

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_MODE: Final = 0o600
Verdict = Literal["accept", "block"]
_LISTS: Final[dict[Verdict, tuple[str, str]]] = {
    "accept": ("accepted_digests", "blocked_digests"),
    "block": ("blocked_digests", "accepted_digests"),
}


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """What became of a policy file.

    Attributes:
        policy: The file.
        digest: The digest it is about.
        changed: The keys whose value is another now; none if it was so before.
    """

    policy: Path
    digest: str
    changed: tuple[str, ...]


def record_digest(path: Path, digest: str, verdict: Verdict) -> PolicyChange:
    """Write into a policy that a site accepts, or blocks, an MMAR; all else stays.

    The newest word counts: what is blocked is no longer accepted, and the other way
    round. A policy that refuses all code afterwards accepts it by digest.

    Args:
        path: The policy; it is made (mode 0600) if it is not there.
        digest: As ``validate-mmar`` prints it.
        verdict: Which of the two.

    Raises:
        UsageError: The digest is none; or the policy is wrong as it stands, or a link
            (POLICY_INVALID).
        StorageError: It cannot be read or written.
    """
    if not _DIGEST.fullmatch(digest):
        msg = f"{digest[:80]!r} is no digest: 64 hexadecimal digits, lower case"
        raise UsageError(msg, hint="give all 64: `mmar-runner validate-mmar MMAR` prints them")
    with locked(path.with_name(f".{path.name}.lock")):  # nobody's word is lost
        before, mode = _read(path)
        after = _changed(before, digest, verdict)
        changed = tuple(key for key in after if before.get(key) != after[key])
        if changed:
            data = (json.dumps(after, indent=2, ensure_ascii=False) + "\n").encode()
            write_bytes_atomic(path, data, durable=True, mode=mode)
    return PolicyChange(path, digest, changed)


def _read(path: Path) -> tuple[dict[str, Any], int]:
    with translated(path):
        if not os.path.lexists(path):
            return {"version": 1}, _MODE
        if path.is_symlink():
            msg = f"{path} is a link, and what is changed would no longer be what it names"
            hint = "put the file itself there; nothing was changed"
            raise UsageError(msg, hint=hint, reason=REASON)
        mode = stat.S_IMODE(path.stat().st_mode)
    document = load_policy(path).document
    return {} if document is None else document.value, mode


def _changed(before: dict[str, Any], digest: str, verdict: Verdict) -> dict[str, Any]:
    after, (into, out_of) = dict(before), _LISTS[verdict]
    if digest not in before.get(into, []):
        after[into] = [*before.get(into, []), digest]
    if digest in before.get(out_of, []):
        after[out_of] = [one for one in before[out_of] if one != digest]
    if verdict == "accept" and before.get("byoc", "refuse") == "refuse":
        after["byoc"] = "digest"
    return after
