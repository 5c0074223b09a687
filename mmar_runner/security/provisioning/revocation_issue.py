# SPDX-License-Identifier: Apache-2.0
"""What is revoked, and issuing the list of it: its version rises, it never gets shorter."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import SignatureError, UsageError
from mmar_runner.security.pki.revocation import (
    MAX_LIST_BYTES,
    REVOCATIONS_FILE,
    RevocationList,
    read_revocations,
    sign_revocations,
)
from mmar_runner.security.provisioning.enrolment import unknown_participant
from mmar_runner.security.provisioning.recovery import everything_of
from mmar_runner.security.provisioning.state import Revoked, merged
from mmar_runner.storage.atomic import translated, write_bytes_atomic
from mmar_runner.storage.bounded import read_bounded

if TYPE_CHECKING:
    from mmar_runner.security.provisioning.authority import Authority
    from mmar_runner.security.provisioning.state import AuthorityState

#: For how long a revocation list may be relied upon; it is renewed at half of that.
LIST_LIFE: Final = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class ToRevoke:
    """What is to count no more.

    Attributes:
        names: Participants, with everything that was issued to them.
        key_ids: Release keys.
        digests: MMARs.
    """

    names: tuple[str, ...] = ()
    key_ids: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()


def everything_named(state: AuthorityState, what: ToRevoke) -> Revoked:
    """Return every certificate and release key of the named, and what is named itself.

    Args:
        state: What the authority remembers.
        what: What is to count no more.

    Raises:
        UsageError: Nobody is called that, or has or had that release key (NOT_FOUND).
    """
    _require_known_keys(state, what.key_ids)
    serials: list[str] = []
    key_ids = list(what.key_ids)
    for name in what.names:
        known = state.known.get(name)
        if known is None:
            raise unknown_participant(name, state.known)
        everything = everything_of(known)
        serials += everything.serials
        key_ids += everything.key_ids
    return Revoked(0, tuple(serials), tuple(key_ids), what.digests)


def _require_known_keys(state: AuthorityState, key_ids: tuple[str, ...]) -> None:
    """Refuse ids of nobody's release key: one that was mistyped would revoke nothing."""
    there = {
        everything_of(known).key_ids[0]: known.name
        for known in state.known.values()
        if known.release_key is not None
    }
    for key in key_ids:
        if key not in there and key not in state.revoked.key_ids:
            keys = ", ".join(f"{known} ({name})" for known, name in there.items())
            raise UsageError(
                f"nobody in the project has or had the release key {key}",
                hint=f"release keys there are: {keys or 'none'}; whoever is named loses every key",
                reason="NOT_FOUND",
            )


def revocation_list(authority: Authority) -> bytes:
    """Return the signed list of what is revoked, made anew only where that is needed.

    Args:
        authority: The project's authority, open.

    Raises:
        StorageError: The disk refuses.
    """
    path = authority.folder / REVOCATIONS_FILE
    signed, found = _signed_list(path, authority.root_pem)
    if found is not None and found.version >= authority.state.revoked.version:
        if authority.now < found.expires - LIST_LIFE / 2 and found == _list(authority.state, found):
            return signed
        # A list that was made is never taken back, even if the state is an older copy.
        old = Revoked(found.version, found.serials, found.key_ids, found.digests)
        both = merged(old, authority.state.revoked)
        authority.remember(replace(authority.state, revoked=replace(both, version=old.version + 1)))
    times = RevocationList(authority.state.project, 0, authority.now, authority.now + LIST_LIFE)
    data = sign_revocations(_list(authority.state, times), authority.key)
    write_bytes_atomic(path, data, durable=True)
    return data


def _list(state: AuthorityState, times: RevocationList) -> RevocationList:
    """Return what the state says is revoked, with the times of another list."""
    revoked = state.revoked
    return replace(
        times,
        project=state.project,
        version=revoked.version,
        serials=revoked.serials,
        key_ids=revoked.key_ids,
        digests=revoked.digests,
    )


def _signed_list(path: Path, root_pem: bytes) -> tuple[bytes, RevocationList | None]:
    if not path.exists():
        return b"", None
    with translated(path):
        data = read_bounded(path, MAX_LIST_BYTES)
    try:
        return data, read_revocations(data, root_pem)
    except SignatureError:
        return data, None  # it is made anew, from what the state says
