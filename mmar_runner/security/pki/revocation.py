# SPDX-License-Identifier: Apache-2.0
"""What no longer counts: certificates, release keys and MMARs, in a list that the root signs.

The list reaches a participant through a server that nobody has to trust: it is signed,
its version only rises, and a list that is not renewed in time is recognised as stale.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.documents.strict_json import parse_checked
from mmar_runner.errors import SignatureError
from mmar_runner.security.pki.certificates import certificate_key
from mmar_runner.security.pki.envelope import open_signed, sign
from mmar_runner.storage.atomic import translated, write_bytes_atomic
from mmar_runner.storage.bounded import read_bounded
from mmar_runner.storage.locks import locked

if TYPE_CHECKING:
    from mmar_runner.security.pki.envelope import PrivateKey

REVOCATIONS_FILE: Final = "revocations.json"
REVOCATIONS_TYPE: Final = "application/vnd.mmar-runner.revocations+json"
#: The most bytes of a list.
MAX_LIST_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class RevocationList:
    """What no longer counts.

    Attributes:
        project: The project that it speaks of.
        version: Its number; a newer list has a higher one.
        created: When it was made, UTC.
        expires: Until when it may be relied upon, UTC.
        serials: Serial numbers of certificates, lower-case hex.
        key_ids: Ids of release keys.
        digests: Digests of MMARs.
    """

    project: str
    version: int
    created: datetime
    expires: datetime
    serials: tuple[str, ...] = ()
    key_ids: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()

    def revokes_certificate(self, serial: str) -> bool:
        """Return True if the certificate with that serial number no longer counts."""
        return serial in self.serials

    def revokes_key(self, key_id: str) -> bool:
        """Return True if the release key of that id no longer counts."""
        return key_id in self.key_ids

    def revokes_digest(self, digest: str) -> bool:
        """Return True if the MMAR with that digest must not run."""
        return digest in self.digests

    def stale(self, now: datetime) -> bool:
        """Return True if a newer list should have come by now."""
        return now >= self.expires


def sign_revocations(revocations: RevocationList, root_key: PrivateKey) -> bytes:
    """Return the signed list as it stands in ``revocations.json``."""
    value = asdict(revocations)
    for key in ("serials", "key_ids", "digests"):
        value[key] = sorted(set(value[key]))
    for key in ("created", "expires"):
        value[key] = value[key].astimezone(UTC).isoformat()
    payload = json.dumps(value, ensure_ascii=False).encode()
    return sign(REVOCATIONS_TYPE, payload, [root_key]).to_json()


def read_revocations(data: bytes, root_pem: bytes) -> RevocationList:
    """Return the list that a file or a message holds, once the root's signature held.

    Args:
        data: The signed list.
        root_pem: The root's certificate.

    Raises:
        SignatureError: It is not the root's (SIGNER_NOT_TRUSTED), of another type (TYPE),
            or no such list (FORMAT).
        CertificateError: The root's certificate cannot be read.
    """
    if len(data) > MAX_LIST_BYTES:
        raise SignatureError("the revocation list is too long", reason="FORMAT")
    payload = open_signed(
        data, REVOCATIONS_TYPE, certificate_key(root_pem), signer="the project's authority"
    )
    try:
        return _list(parse_checked(payload, "revocations", limit=MAX_LIST_BYTES))
    except ValueError as error:
        raise SignatureError(f"the revocation list {error}", reason="FORMAT") from error


class RevocationMemory:
    """The newest list that a participant has seen; it never goes back to an older one.

    Several processes of one participant may share it: what one has kept, no other undoes.

    Args:
        kit_file: The list of the start-up kit.
        state_folder: Where the newest list is kept.
        root_pem: The root's certificate.

    Raises:
        SignatureError: A list is not the root's, or two of one version say different
            things (VERSION_REUSED).
        StorageError: A list cannot be read.
    """

    def __init__(self, kit_file: Path, state_folder: Path, root_pem: bytes) -> None:
        self._kept = state_folder / REVOCATIONS_FILE
        self._root_pem = root_pem
        files = [kit_file] + ([self._kept] if self._kept.exists() else [])
        lists = [_known(file, root_pem) for file in files]
        self._current, self._data = max(lists, key=lambda pair: pair[0].version)
        for other, _ in lists:
            _check_same(other, self._current)

    @property
    def current(self) -> RevocationList:
        """The newest list."""
        return self._current

    @property
    def data(self) -> bytes:
        """The newest list as it is signed, to be handed on."""
        return self._data

    def offer(self, data: bytes) -> bool:
        """Take a list over if it is newer; it is on the disk before it counts.

        Returns:
            True if a newer list counts now: this one, or a newer one yet that another
            process has kept meanwhile.

        Raises:
            SignatureError: It is not the root's, older than the known one
                (VERSION_ROLLBACK), or another of the same version (VERSION_REUSED).
            StorageError: It cannot be kept.
        """
        if data == self._data:
            return False
        offered, before = read_revocations(data, self._root_pem), self._current.version
        with locked(self._kept.with_suffix(".lock")):
            self._catch_up()
            _check_same(offered, self._current)
            if offered.version > self._current.version:
                write_bytes_atomic(self._kept, data, durable=True)
                self._current, self._data = offered, data
        if offered.version < self._current.version == before:
            raise SignatureError(
                f"revocation list {offered.version} is older than {before}, which is known here",
                reason="VERSION_ROLLBACK",
            )
        return self._current.version > before

    def _catch_up(self) -> None:
        """Take over what another process has kept since; what is not the root's says nothing."""
        if not self._kept.exists():
            return
        data = _read(self._kept)
        with suppress(SignatureError):
            kept = read_revocations(data, self._root_pem)
            if kept.version > self._current.version:
                self._current, self._data = kept, data


def _check_same(one: RevocationList, other: RevocationList) -> None:
    """Refuse two lists of one version that differ: one of them hides a revocation."""
    if one.version == other.version and one != other:
        raise SignatureError(
            f"two lists of revocations of version {one.version} say different things, as when "
            "the project's authority was put back from a backup",
            hint="the project's office revokes again what was revoked since that backup; "
            "the list it then makes has a higher version",
            reason="VERSION_REUSED",
        )


def _known(path: Path, root_pem: bytes) -> tuple[RevocationList, bytes]:
    data = _read(path)
    try:
        return read_revocations(data, root_pem), data
    except SignatureError as error:
        hint = error.hint or f"ask whoever provisions the project for {path.name} again"
        raise SignatureError(f"{path}: {error.message}", hint=hint, reason=error.reason) from error


def _read(path: Path) -> bytes:
    with translated(path):
        return read_bounded(path, MAX_LIST_BYTES)


def _list(value: dict[str, Any]) -> RevocationList:
    return RevocationList(
        project=value["project"],
        version=value["version"],
        created=_time(value["created"]),
        expires=_time(value["expires"]),
        serials=tuple(value["serials"]),
        key_ids=tuple(value["key_ids"]),
        digests=tuple(value["digests"]),
    )


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"has a time without a zone: {text!r}")
    return time
