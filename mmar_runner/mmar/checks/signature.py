# SPDX-License-Identifier: Apache-2.0
"""Is ``signature.json``, if there is one, what it must be, and for these files?

Whether it suffices, and who signed, sites decide: here nothing is verified.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mmar_runner.documents.words import some_of
from mmar_runner.security.listing import SIGNATURE_FILE

if TYPE_CHECKING:
    from mmar_runner.mmar.finding import Findings
    from mmar_runner.mmar.folder import MmarFolder
    from mmar_runner.security.listing import FileListing
    from mmar_runner.security.signatures.manifest import SignedManifest

_SHOWN: Final = 3


def check_signature(folder: MmarFolder, listing: FileListing, findings: Findings) -> None:
    """Report a signature file that no site could read, or that is for other files."""
    if not (folder.root / SIGNATURE_FILE).is_file():
        return
    # Deferred: most MMARs are checked before they are signed.
    from mmar_runner.errors import SignatureError  # noqa: PLC0415
    from mmar_runner.security.pki.envelope import (  # noqa: PLC0415
        MAX_ENVELOPE_BYTES,
        read_envelope,
    )
    from mmar_runner.security.signatures.manifest import read_manifest  # noqa: PLC0415

    try:
        data = folder.signature(MAX_ENVELOPE_BYTES)
        if data is not None:
            _compare(listing, read_manifest(read_envelope(data).payload), findings)
    except SignatureError as error:
        _damaged(findings, error.message)
    except (OSError, ValueError) as error:
        _damaged(findings, f"{SIGNATURE_FILE} {error}")


def _compare(listing: FileListing, manifest: SignedManifest, findings: Findings) -> None:
    from mmar_runner.security.signatures.manifest import differences  # noqa: PLC0415 - as above

    if listing.unlisted:
        return  # an error that was said, and that no signature outlives
    found = differences(listing, manifest)
    kinds = (("changed", found.altered), ("added", found.added), ("missing", found.missing))
    what = [f"{word}: {_some(files)}" for word, files in kinds if files]
    if not what and manifest.digest != listing.digest:
        what.append("the signed digest is not that of the signed files")
    if manifest.name != listing.name:
        what.append(f"it was called {_some((manifest.name,))}")
    if what:
        message = f"The MMAR is not the one that was signed: {'; '.join(what)}."
        findings.add("MMAR660", message, file=SIGNATURE_FILE)


def _some(names: tuple[str, ...]) -> str:
    return some_of([name if name.isprintable() else ascii(name) for name in names], _SHOWN)


def _damaged(findings: Findings, message: str) -> None:
    sentence = f"{message[:1].upper()}{message[1:].rstrip('.')}."
    findings.add("MMAR117", sentence, file=SIGNATURE_FILE)
