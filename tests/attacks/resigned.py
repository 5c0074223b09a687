# SPDX-License-Identifier: Apache-2.0
"""What the project's office does to kits while they are in use: it signs a file anew."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmar_runner.security.identity import Role
from mmar_runner.security.kits.files import KIT_FILES, SIGNATURE_FILE, sign_files
from mmar_runner.security.pki.certificates import read_peer_certificate
from mmar_runner.security.pki.keys import load_private_key
from mmar_runner.storage.atomic import write_bytes_atomic


def put_authorization(
    kit: Path, role: Role, value: Mapping[str, Any], authority: Path, *, sign: bool = True
) -> None:
    """Put another ``authorization.json`` into a kit, under the authority's signature.

    Args:
        kit: The kit's folder.
        role: Whose kit it is.
        value: What the policy is to say.
        authority: The authority's folder.
        sign: Whether the authority signs it; else the old signature stays.
    """
    pem = (kit / KIT_FILES[role].certificate).read_bytes()
    identity = read_peer_certificate(pem).identity
    data = json.dumps(value).encode()
    files = {name: (kit / name).read_bytes() for name in KIT_FILES[role].signed}
    files["authorization.json"] = data
    write_bytes_atomic(kit / "authorization.json", data)
    if sign:
        key = load_private_key(authority / "root.key")
        write_bytes_atomic(kit / SIGNATURE_FILE, sign_files(files, identity, key))
