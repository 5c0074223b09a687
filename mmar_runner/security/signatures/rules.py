# SPDX-License-Identifier: Apache-2.0
"""The rules about what was signed, once it is known who signed it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from mmar_runner.documents.words import some_of
from mmar_runner.security.decision import Place
from mmar_runner.security.listing import SIGNATURE_FILE
from mmar_runner.security.signatures.manifest import EVERYBODY, differences
from mmar_runner.security.steps import accepts, refuses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mmar_runner.security.decision import Step
    from mmar_runner.security.listing import FileListing
    from mmar_runner.security.signatures.context import SeenVersion, SignatureContext
    from mmar_runner.security.signatures.manifest import SignedManifest

SIGN: Final = "An administrator signs it: `mmar-runner sign-mmar MMAR --kit KIT`."
SIGN_AGAIN: Final = SIGN.replace("signs it", "signs it again")
#: Where the signatures stand.
SIGNATURE: Final = Place(SIGNATURE_FILE)
_SHOWN: Final = 5
_FILES: Final = "signature.files"
_RESTORE: Final = "Restore what was signed; or have the MMAR signed as it is now."
_PUT_BACK: Final = "Put it back as it was signed; or have the MMAR signed without it."
_REMOVE: Final = "Remove it; or have the MMAR signed with it."


def manifest_steps(
    listing: FileListing, manifest: SignedManifest, context: SignatureContext
) -> Iterator[Step]:
    """Yield the answers of every rule about what was signed."""
    yield _project(manifest, context.trust_root.project)
    if context.site is not None:
        yield audience(manifest, context.site)
    yield _expiry(manifest, context.now)
    yield _version(manifest, context.versions.get((manifest.project, manifest.name)))
    # A site may call its own folders as it likes; a server may rename nothing.
    if context.origin == "delivered" and listing.name != manifest.name:
        yield _renamed(listing, manifest)
    yield from _files(listing, manifest)


def _project(manifest: SignedManifest, project: str) -> Step:
    if manifest.project == project:
        return accepts("signature.project", f"Signed for the project {project!r}.")
    message = f"Signed for the project {manifest.project!r}, not {project!r}."
    return refused("project", "WRONG_PROJECT", message, SIGN_AGAIN)


def audience(manifest: SignedManifest, site: str) -> Step:
    """Return whether an MMAR is meant for a site."""
    if EVERYBODY in manifest.audience:
        return accepts("signature.audience", "Meant for every site.")
    if manifest.meant_for(site):
        return accepts("signature.audience", f"Meant for {site}.")
    meant = _some(manifest.audience)
    hint = "An administrator signs it again with --audience."
    return refused("audience", "WRONG_AUDIENCE", f"Meant for {meant}, not for {site}.", hint)


def _expiry(manifest: SignedManifest, now: datetime) -> Step:
    until = date(manifest.expires)
    if now < manifest.expires:
        return accepts("signature.expiry", f"The signature is good until {until}.")
    message = f"The signature was good until {until}; the clock here says {date(now)}."
    return refused("expiry", "SIGNATURE_EXPIRED", message, SIGN_AGAIN)


def _version(manifest: SignedManifest, seen: SeenVersion | None) -> Step:
    version, before = manifest.version, "which was accepted here before"
    if seen is None or version > seen.version:
        message = f"Version {version} is newer than what was accepted here before, if anything."
        return accepts("signature.version", message)
    if version < seen.version:
        message = f"Version {version} is older than {seen.version}, {before}."
        hint = f"An administrator signs what is to run now: {_higher(seen)}"
        return refused("version", "VERSION_ROLLBACK", message, hint)
    if seen.digest not in {None, manifest.digest}:
        # Both were signed by people who may; only a higher number says which is to stay.
        message = f"Another MMAR of version {version} was accepted here before: {seen.digest}."
        return accepts("signature.version", f"{message} Either may run; {_higher(seen)}")
    return accepts("signature.version", f"Version {version} is the one {before}.")


def _higher(seen: SeenVersion) -> str:
    return f"`mmar-runner sign-mmar --mmar-version {seen.version + 1}` ends the time of the older."


def _renamed(listing: FileListing, manifest: SignedManifest) -> Step:
    message = (
        f"It was signed as {_some((manifest.name,))} and delivered as {_some((listing.name,))}."
    )
    hint = "The server must deliver it under the name that was signed."
    return refuses("signature.name", "MANIFEST_MISMATCH", message, subject=SIGNATURE, hint=hint)


def _files(listing: FileListing, manifest: SignedManifest) -> Iterator[Step]:
    """Yield one answer if all is as it was signed, else one for each kind of difference."""
    if listing.unlisted:
        message = f"What lies there cannot be what was signed: {_some(listing.unlisted)}"
        yield refuses(_FILES, "MANIFEST_MISMATCH", message, hint=_RESTORE)
        return
    found = differences(listing, manifest)
    kinds = (
        ("Changed since it was signed", found.altered, _RESTORE),
        ("Signed, and missing", found.missing, _PUT_BACK),
        ("Not signed", found.added, _REMOVE),
    )
    for what, paths, hint in kinds:
        if paths:
            message = f"{what}: {_some(paths)}."
            subject = Place(paths[0])
            yield refuses(_FILES, "MANIFEST_MISMATCH", message, subject=subject, hint=hint)
    if any(paths for _, paths, _ in kinds):
        return
    if manifest.digest != listing.digest:
        message = "The signed digest is not that of the signed files."
        yield refuses(_FILES, "MANIFEST_MISMATCH", message, subject=SIGNATURE, hint=SIGN_AGAIN)
    else:
        yield accepts(_FILES, _all_signed(len(listing.files)))


def _all_signed(count: int) -> str:
    if count == 1:
        return "The one file is as it was signed, and there is no other."
    return f"All {count} files are as they were signed, and no others."


def _some(names: tuple[str, ...]) -> str:
    return some_of([name if name.isprintable() else ascii(name) for name in names], _SHOWN)


def date(time: datetime) -> str:
    """Return a time as it stands in a sentence."""
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def refused(rule: str, reason: str, message: str, hint: str | None) -> Step:
    """Return the refusal of a rule about the signature file."""
    return refuses(f"signature.{rule}", reason, message, subject=SIGNATURE, hint=hint)
