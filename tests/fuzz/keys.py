# SPDX-License-Identifier: Apache-2.0
"""A small project of one's own: keys and certificates that targets sign with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from mmar_runner.security.identity import Identity, Role
from mmar_runner.security.pki.envelope import sign
from mmar_runner.security.pki.issuing import make_root

if TYPE_CHECKING:
    from mmar_runner.security.pki.envelope import PrivateKey

PROJECT: Final = "demo"
SITE: Final = Identity(PROJECT, Role.CLIENT, "site-1")
NOW: Final = datetime(2026, 11, 28, tzinfo=UTC)
#: Secrets of no worth: the same in every process, so that a finding is one everywhere.
ROOT_KEY: Final = ec.derive_private_key(0x5EED, ec.SECP256R1())
SITE_KEY: Final = ec.derive_private_key(0x517E, ec.SECP256R1())
RELEASE_KEY: Final = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@cache
def root_pem() -> bytes:
    """Return the certificate of the project's authority."""
    return make_root(ROOT_KEY, PROJECT, NOW, timedelta(days=3650))


def signed(kind: str, payload: bytes, key: PrivateKey = ROOT_KEY) -> bytes:
    """Return an envelope with any payload, rightly signed: its reader is what is tried."""
    return sign(kind, payload, [key]).to_json()
