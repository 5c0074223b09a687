# SPDX-License-Identifier: Apache-2.0
"""MMARs signed as ``sign-mmar`` does, but with any terms."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.folder import open_folder
from mmar_runner.mmar.manifest import list_files
from mmar_runner.security.identity import Role
from mmar_runner.security.kits.kit import load_kit
from mmar_runner.security.pki.keys import load_release_key
from mmar_runner.security.signatures.signing import Signer, Terms, sign_listing


def signer_of(kit_folder: Path) -> Signer:
    """Return who signs with an administrator's kit."""
    kit = load_kit(kit_folder, Role.ADMIN, now=datetime.now(UTC))
    assert kit.release_key_file is not None
    key = load_release_key(kit.release_key_file)
    return Signer(key, kit.trust_root, kit.revocation_memory().current)


def sign(root: Path, signer: Signer, *, add: bool = False, **terms: Any) -> Path:
    """Sign an MMAR.

    Args:
        root: Its folder, which is returned.
        signer: Who signs.
        add: Whether signatures that are there stay.
        terms: As for `Terms`.
    """
    listing, path = list_files(open_folder(root, Findings())), root / "signature.json"
    present = path.read_bytes() if add else None
    made = sign_listing(listing, present, signer, Terms(**terms), now=datetime.now(UTC))
    path.write_bytes(made.envelope.to_json())
    return root
