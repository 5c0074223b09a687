# SPDX-License-Identifier: Apache-2.0
"""What a site says of an MMAR's folder when it is asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from mmar_runner.security.kits.files import KIT_TYPE
from mmar_runner.security.pki.envelope import read_envelope, sign
from mmar_runner.security.pki.keys import load_private_key

CLIENT, SERVER = "config_fed_client.json", "config_fed_server.json"


def flip(mmar: Path) -> str:
    path = mmar / "docs" / "Readme.md"
    data = path.read_bytes()
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    return "Changed since it was signed: docs/Readme.md"


def reissued(hospital, site: str, change: Callable[[dict], object]) -> None:
    """Let the project's office give a site a kit with another authorization."""
    kit = hospital.kit(site)
    path = kit / "authorization.json"
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))
    data = path.read_bytes()
    payload = json.loads(read_envelope((kit / "signature.json").read_bytes()).payload)
    (listed,) = [file for file in payload["files"] if file["path"] == path.name]
    listed.update(size=len(data), sha256=sha256(data).hexdigest())
    authority = load_private_key(hospital.kits.out / "authority" / "root.key")
    signed = sign(KIT_TYPE, json.dumps(payload).encode(), [authority])
    (kit / "signature.json").write_bytes(signed.to_json())
