# SPDX-License-Identifier: Apache-2.0
"""Is ``signature.json``, if there is one, what it must be? Whether it suffices, sites decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmar_runner.security.listing import SIGNATURE_FILE

if TYPE_CHECKING:
    from mmar_runner.mmar.finding import Findings
    from mmar_runner.mmar.folder import MmarFolder


def check_signature(folder: MmarFolder, findings: Findings) -> None:
    """Report a signature file that no site could read."""
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
            read_manifest(read_envelope(data).payload)
    except SignatureError as error:
        _damaged(findings, error.message)
    except (OSError, ValueError) as error:
        _damaged(findings, f"{SIGNATURE_FILE} {error}")


def _damaged(findings: Findings, message: str) -> None:
    sentence = f"{message[:1].upper()}{message[1:].rstrip('.')}."
    findings.add("MMAR117", sentence, file=SIGNATURE_FILE)
