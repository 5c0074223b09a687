# SPDX-License-Identifier: Apache-2.0
"""Keys of one client in one round, what two clients agree on, and sealed messages.

X25519 (RFC 7748) for agreement, HKDF-SHA256 (RFC 5869) for what is derived from it,
ChaCha20-Poly1305 (RFC 8439) to seal. A key lives for one round and is never used again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key of X25519 and its public key, 32 bytes each."""

    private: bytes = field(repr=False)
    public: bytes

    @classmethod
    def made(cls) -> KeyPair:
        """Return a new one."""
        return cls.of(os.urandom(KEY_BYTES))

    @classmethod
    def of(cls, private: bytes) -> KeyPair:
        """Return the pair of a private key."""
        key = X25519PrivateKey.from_private_bytes(private)
        return cls(private, key.public_key().public_bytes_raw())

    def agree(self, public: bytes, purpose: bytes) -> bytes:
        """Return the 32 bytes that the owner of the other key gets, too.

        Args:
            public: The other side's public key.
            purpose: What they are for: other words, other bytes.

        Raises:
            ValueError: It is no public key with which anything can be agreed on.
        """
        shared = X25519PrivateKey.from_private_bytes(self.private).exchange(
            X25519PublicKey.from_public_bytes(public)
        )
        return HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=purpose).derive(shared)


def require_usable(public: bytes) -> None:
    """Refuse a public key with which nobody can agree on anything, such as 32 zeros.

    Raises:
        ValueError: It is one; whoever was told of it could not go on.
    """
    KeyPair.made().agree(public, b"")


def seal(key: bytes, message: bytes, about: bytes) -> bytes:
    """Return a message that only whoever has the key can read or make.

    Args:
        key: 32 bytes.
        message: What is hidden.
        about: What it belongs to: must be the same for `unseal`.
    """
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + ChaCha20Poly1305(key).encrypt(nonce, message, about)


def unseal(key: bytes, sealed: bytes, about: bytes) -> bytes:
    """Return the message that was sealed.

    Raises:
        ValueError: It was made with another key, for something else, or changed on its way.
    """
    try:
        return ChaCha20Poly1305(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], about)
    except InvalidTag as error:
        raise ValueError("a sealed message is not what its sender made") from error
