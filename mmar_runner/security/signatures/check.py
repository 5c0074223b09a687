# SPDX-License-Identifier: Apache-2.0
"""What a site asks of an MMAR's signatures, rule by rule.

`check_signatures` is pure. It believes nothing before a signature of a known key covers
it, and then asks every remaining rule, so that a person hears all of it at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from mmar_runner.errors import SignatureError
from mmar_runner.security.listing import SIGNATURE_FILE
from mmar_runner.security.pki.envelope import read_envelope, verify
from mmar_runner.security.policy.site_rules import ACCEPT
from mmar_runner.security.signatures.manifest import MMAR_TYPE, read_manifest
from mmar_runner.security.signatures.rules import (
    SIGN,
    SIGN_AGAIN,
    SIGNATURE,
    date,
    manifest_steps,
    refused,
)
from mmar_runner.security.steps import accepts, refuses

if TYPE_CHECKING:
    from mmar_runner.security.decision import Step
    from mmar_runner.security.listing import FileListing
    from mmar_runner.security.pki.envelope import Envelope
    from mmar_runner.security.pki.revocation import RevocationList
    from mmar_runner.security.pki.trust_root import ReleaseKey
    from mmar_runner.security.signatures.context import SignatureContext
    from mmar_runner.security.signatures.manifest import SignedManifest


#: What an MMAR is to the rules that count signatures.
_Kind: TypeAlias = Literal["mmar", "byoc"]


@dataclass(frozen=True, slots=True)
class SignatureReport:
    """What the rules said.

    Attributes:
        steps: Every rule's answer, in the order they were asked.
        owners: E-mail addresses of those whose signatures count, sorted.
        manifest: What they signed; None if nobody known did, or if the site's own
            acceptance stands in for it.
    """

    steps: tuple[Step, ...]
    owners: tuple[str, ...] = ()
    manifest: SignedManifest | None = None

    @property
    def accepted(self) -> bool:
        """True if no rule refuses."""
        return all(step.accepted for step in self.steps)


def check_signatures(
    listing: FileListing,
    envelope: bytes | None,
    context: SignatureContext,
    *,
    own_code: bool = False,
) -> SignatureReport:
    """Ask every rule about an MMAR's signatures.

    Args:
        listing: The MMAR as it is.
        envelope: The bytes of its signature file; None if it has none.
        context: What the site knows.
        own_code: Whether it brings code that is no file: commands or expressions.
    """
    first = _digest(listing, context)
    report = _signed(listing, envelope, context, own_code=own_code)
    if not report.accepted and first.accepted:
        report = _accepted_by_site(listing, context) or report
    return SignatureReport((first, *report.steps), report.owners, report.manifest)


def _digest(listing: FileListing, context: SignatureContext) -> Step:
    if context.revocations.revokes_digest(listing.digest):
        message = f"The project's authority revoked the MMAR with the digest {listing.digest}."
        hint = "Ask the project's administrator why; a corrected MMAR has another digest."
        return refuses("signature.digest", "DIGEST_REVOKED", message, hint=hint)
    return accepts("signature.digest", f"The digest {listing.digest} is not revoked.")


def _accepted_by_site(listing: FileListing, context: SignatureContext) -> SignatureReport | None:
    """Return the answer of a site that itself put a reviewed folder there; else None."""
    digests = context.policy.accepted_digests
    if context.origin != "local" or listing.unlisted or listing.digest not in digests:
        return None
    place = context.policy.place("accepted_digests", digests.index(listing.digest))
    message = "The site accepted this digest and put the folder there itself: no signature needed."
    return SignatureReport((accepts("signature.present", message, policy=place),))


def _signed(
    listing: FileListing, data: bytes | None, context: SignatureContext, *, own_code: bool
) -> SignatureReport:
    if data is None:
        message = f"The MMAR has no {SIGNATURE_FILE}: nobody signed it."
        hint = SIGN
        if context.origin == "local":  # what is delivered is never accepted unsigned
            hint += f" Or the site reviews it: {ACCEPT}."
        return SignatureReport(
            (refuses("signature.present", "SIGNATURE_MISSING", message, hint=hint),)
        )
    steps = [accepts("signature.present", f"The MMAR has a {SIGNATURE_FILE}.", subject=SIGNATURE)]
    try:
        envelope = read_envelope(data)
        ids = verify(envelope, MMAR_TYPE, [key.load() for key in context.trust_root.release_keys])
    except SignatureError as error:
        steps.append(refused("format", error.reason, f"{error.message}.", error.hint))
        return SignatureReport(tuple(steps))
    steps.append(accepts("signature.format", "It is an envelope of signatures of an MMAR."))
    signers = [key for key in context.trust_root.release_keys if key.id in ids]
    kind: _Kind = "byoc" if own_code or listing.byoc else "mmar"
    return _by_signers(listing, envelope, signers, context, steps, kind=kind)


def _by_signers(
    listing: FileListing,
    envelope: Envelope,
    signers: list[ReleaseKey],
    context: SignatureContext,
    steps: list[Step],
    *,
    kind: _Kind,
) -> SignatureReport:
    good = [key for key in signers if not context.revocations.revokes_key(key.id)]
    steps.append(_signer(envelope, signers, good, context.revocations))
    if not good:
        return SignatureReport(tuple(steps))
    owners = tuple(sorted({key.owner for key in good}))
    steps += [_revocations(context), _threshold(kind, owners, context)]
    try:
        manifest = read_manifest(envelope.payload)
    except ValueError as error:
        message = f"What was signed {error}."
        steps.append(refused("format", "FORMAT", message, SIGN_AGAIN))
        return SignatureReport(tuple(steps), owners)
    steps += manifest_steps(listing, manifest, context)
    return SignatureReport(tuple(steps), owners, manifest)


def _signer(
    envelope: Envelope,
    signers: list[ReleaseKey],
    good: list[ReleaseKey],
    revocations: RevocationList,
) -> Step:
    if good:
        names = ", ".join(f"{key.owner} ({key.id[:16]})" for key in good)
        return accepts("signature.signer", f"Signed by {names}.", subject=SIGNATURE)
    if signers:
        names = ", ".join(f"{key.owner} ({key.id[:16]})" for key in signers)
        message = f"Only revoked keys signed it: {names}."
        return refused("signer", "SIGNER_REVOKED", message, SIGN_AGAIN)
    # Who got a new key is no longer in trust.json with the old one: the id tells it. Believed
    # or not, it is refused.
    if any(revocations.revokes_key(s.key_hint) for s in envelope.signatures):
        message = "No key that this site knows signed it, and a key that it claims was revoked."
        return refused("signer", "SIGNER_REVOKED", message, SIGN_AGAIN)
    hints = ", ".join(repr(s.key_hint[:16]) for s in envelope.signatures)
    message = f"No key that this site knows signed it as it is; it claims the keys {hints}."
    hint = "The signer must be an administrator of the project, in the kit's trust.json."
    return refused("signer", "SIGNER_NOT_TRUSTED", message, hint)


def _revocations(context: SignatureContext) -> Step:
    expires = date(context.revocations.expires)
    if context.revocations.stale(context.now):
        message = f"The revocation list was good until {expires}; who signed may be revoked by now."
        hint = (
            "Any call of `mmar-runner provision` by the project's office renews the list: "
            "lay its revocations.json over the kit's."
        )
        return refuses("signature.revocations", "REVOCATIONS_STALE", message, hint=hint)
    return accepts("signature.revocations", f"The revocation list is good until {expires}.")


def _threshold(kind: _Kind, owners: tuple[str, ...], context: SignatureContext) -> Step:
    needed = context.policy.signatures[kind]
    place = context.policy.place("signatures", kind)
    what = "brings code" if kind == "byoc" else "brings no code"
    counted = f"{len(owners)} of {needed} (it {what}): {', '.join(owners)}"
    if len(owners) >= needed:
        return accepts(
            "signature.threshold", f"Administrators who signed: {counted}.", policy=place
        )
    message = f"Too few administrators signed: {counted}."
    hint = "Another administrator calls `mmar-runner sign-mmar` on the same files."
    return refuses(
        "signature.threshold", "THRESHOLD", message, policy=place, subject=SIGNATURE, hint=hint
    )
