# SPDX-License-Identifier: Apache-2.0
"""Signing an MMAR: a new manifest, or one more signature under the present one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import SignatureError
from mmar_runner.security.pki.envelope import (
    Envelope,
    countersign,
    key_id,
    read_envelope,
    sign,
    verify,
)
from mmar_runner.security.signatures.manifest import (
    EVERYBODY,
    MAX_MANIFEST_BYTES,
    MMAR_TYPE,
    SignedManifest,
    differences,
    dump_manifest,
    make_manifest,
    read_manifest,
)

if TYPE_CHECKING:
    from mmar_runner.security.listing import FileListing
    from mmar_runner.security.pki.envelope import PrivateKey
    from mmar_runner.security.pki.revocation import RevocationList
    from mmar_runner.security.pki.trust_root import TrustRoot

#: For how many days a signature is good if nobody says otherwise.
DEFAULT_DAYS: Final = 365


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs, and whom they know.

    Attributes:
        key: Their release key.
        trust_root: Whose keys they know, their own among them.
        revocations: What no longer counts.
    """

    key: PrivateKey
    trust_root: TrustRoot
    revocations: RevocationList

    @property
    def id(self) -> str:
        """The id of their key."""
        return key_id(self.key.public_key())

    def require_good(self) -> None:
        """Refuse a key whose signature no site would count.

        Raises:
            SignatureError: SIGNER_NOT_TRUSTED or SIGNER_REVOKED.
        """
        if self.trust_root.owner_of(self.id) is None:
            message = f"the release key {self.id[:16]} is not in the kit's own trust.json"
            hint = "take the newest kit of this administrator"
            raise SignatureError(message, hint=hint, reason="SIGNER_NOT_TRUSTED")
        if self.revocations.revokes_key(self.id):
            message = f"the release key {self.id[:16]} was revoked"
            hint = "ask the project's administrator for a new kit"
            raise SignatureError(message, hint=hint, reason="SIGNER_REVOKED")


@dataclass(frozen=True, slots=True)
class Terms:
    """What a signer says about a signature; what they leave open has a default.

    Attributes:
        version: The MMAR's version.
        days: For how many days sites accept it.
        audience: The sites that it is meant for.
    """

    version: int | None = None
    days: int | None = None
    audience: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Signed:
    """What came of it.

    Attributes:
        envelope: To be written to the MMAR's signature file.
        manifest: What it says.
        signers: E-mail addresses of those who have signed it by now, sorted.
        added: True if it is one more signature under a manifest that was there.
        dropped: Those whose signatures under an earlier manifest no longer count, sorted.
    """

    envelope: Envelope
    manifest: SignedManifest
    signers: tuple[str, ...]
    added: bool
    dropped: tuple[str, ...] = ()


def sign_listing(
    listing: FileListing, present: bytes | None, signer: Signer, terms: Terms, *, now: datetime
) -> Signed:
    """Sign what a folder holds.

    The signature is added to the present ones if they are good, cover the same files, lack
    this key, and the signer sets no terms. Otherwise there is a new manifest.

    Args:
        listing: The MMAR as it is.
        present: The bytes of its signature file; None if it has none.
        signer: Who signs.
        terms: What they say about it.
        now: The present time, with a time zone.

    Raises:
        SignatureError: The folder holds what cannot be signed (MANIFEST_MISMATCH), the
            key is no longer good (SIGNER_NOT_TRUSTED, SIGNER_REVOKED), the version would
            have to be guessed from a signature that nobody known made, or the list of
            files is too long (FORMAT).
    """
    if listing.unlisted:
        message = f"this cannot be signed: {listing.unlisted[0]}"
        hint = "`mmar-runner validate-mmar MMAR` names everything of that kind"
        raise SignatureError(message, hint=hint, reason="MANIFEST_MISMATCH")
    signer.require_good()
    earlier = _earlier(present, signer, terms)
    if earlier is not None and terms == Terms() and earlier.fits(listing, signer, now):
        envelope = countersign(earlier.envelope, signer.key)
        return Signed(envelope, earlier.manifest, _owners(envelope, signer), added=True)
    manifest = make_manifest(
        listing,
        project=signer.trust_root.project,
        version=terms.version or (earlier.manifest.version + 1 if earlier else 1),
        created=now,
        expires=now + timedelta(days=terms.days or DEFAULT_DAYS),
        audience=terms.audience or (EVERYBODY,),
    )
    payload = dump_manifest(manifest)
    if len(payload) > MAX_MANIFEST_BYTES:
        message = f"the list of {len(manifest.files)} files is longer than sites read"
        hint = "put fewer files, or shorter paths, into the MMAR"
        raise SignatureError(message, hint=hint, reason="FORMAT")
    envelope = sign(MMAR_TYPE, payload, [signer.key])
    owners = _owners(envelope, signer)
    before = _owners(earlier.envelope, signer) if earlier is not None else ()
    dropped = tuple(owner for owner in before if owner not in owners)
    return Signed(envelope, manifest, owners, added=False, dropped=dropped)


@dataclass(frozen=True, slots=True)
class _Earlier:
    """A signature file that somebody known signed."""

    envelope: Envelope
    manifest: SignedManifest
    ids: frozenset[str]

    def fits(self, listing: FileListing, signer: Signer, now: datetime) -> bool:
        """Return True if one more signature under it would say the same."""
        return (
            signer.id not in self.ids
            and self.manifest.project == signer.trust_root.project
            and self.manifest.digest == listing.digest
            and not differences(listing, self.manifest)
            and now < self.manifest.expires
        )


def _earlier(present: bytes | None, signer: Signer, terms: Terms) -> _Earlier | None:
    if present is None:
        return None
    try:
        envelope = read_envelope(present)
        ids = _good(envelope, signer)
        manifest = read_manifest(envelope.payload) if ids else None
    except (SignatureError, ValueError):
        manifest = None
    if manifest is not None:
        return _Earlier(_only_good(envelope, signer), manifest, ids)
    if terms.version is not None:
        return None
    message = "the MMAR has a signature file that nobody known signed: its version is not believed"
    hint = "give --mmar-version, or remove signature.json"
    raise SignatureError(message, hint=hint, reason="SIGNER_NOT_TRUSTED")


def _good(envelope: Envelope, signer: Signer) -> frozenset[str]:
    """Return the ids of known keys, not revoked, that signed."""
    ids = verify(envelope, MMAR_TYPE, [key.load() for key in signer.trust_root.release_keys])
    return frozenset(i for i in ids if not signer.revocations.revokes_key(i))


def _only_good(envelope: Envelope, signer: Signer) -> Envelope:
    """Leave out what no known key made, so that nobody fills the envelope with nothing."""
    kind, payload = envelope.payload_type, envelope.payload
    good = (s for s in envelope.signatures if _good(Envelope(kind, payload, (s,)), signer))
    return Envelope(kind, payload, tuple(good))


def _owners(envelope: Envelope, signer: Signer) -> tuple[str, ...]:
    good = _good(envelope, signer)
    return tuple(sorted({k.owner for k in signer.trust_root.release_keys if k.id in good}))
