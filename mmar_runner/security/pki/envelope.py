# SPDX-License-Identifier: Apache-2.0
"""Signed bytes: DSSE envelopes with Ed25519 and ECDSA P-256 signatures.

A signature covers the payload's exact bytes together with their type, so that nothing
signed for one purpose can be shown for another, and nothing is parsed before it was
verified. Source: Dead Simple Signing Envelope v1.0 (protocol and envelope).
"""

from __future__ import annotations

import base64
import json
from binascii import Error as Base64Error
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from mmar_runner.documents.strict_json import parse_checked
from mmar_runner.errors import SignatureError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cryptography.hazmat.primitives.asymmetric.ec import (
        EllipticCurvePrivateKey,
        EllipticCurvePublicKey,
    )
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

    PrivateKey: TypeAlias = Ed25519PrivateKey | EllipticCurvePrivateKey
    PublicKey: TypeAlias = Ed25519PublicKey | EllipticCurvePublicKey

#: The most bytes of an envelope; ten thousand files need a third of it.
MAX_ENVELOPE_BYTES: Final = 8 * 1024 * 1024
#: The most objects and lists of an envelope, so that a small text takes no large memory.
_MAX_PARTS: Final = 64


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature of an envelope.

    Attributes:
        key_hint: Which key to try: an id that nobody vouches for.
        value: Its bytes.
    """

    key_hint: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload with signatures, none of them checked yet.

    Attributes:
        payload_type: What the payload claims to be.
        payload: Its exact bytes.
        signatures: In the order in which they stand there.
    """

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]

    def to_json(self) -> bytes:
        """Return the envelope as it is written to a file."""
        value = {
            "payloadType": self.payload_type,
            "payload": base64.b64encode(self.payload).decode(),
            "signatures": [
                {"keyid": s.key_hint, "sig": base64.b64encode(s.value).decode()}
                for s in self.signatures
            ],
        }
        return f"{json.dumps(value, indent=1)}\n".encode()


def sign(payload_type: str, payload: bytes, keys: Sequence[PrivateKey]) -> Envelope:
    """Return an envelope that every one of the keys has signed."""
    envelope = Envelope(payload_type, payload, ())
    for key in keys:
        envelope = countersign(envelope, key)
    return envelope


def countersign(envelope: Envelope, key: PrivateKey) -> Envelope:
    """Return the envelope with one more signature; an earlier one of that key goes."""
    own = key_id(key.public_key())
    value = _sign(key, pre_authentication(envelope.payload_type, envelope.payload))
    others = tuple(s for s in envelope.signatures if s.key_hint != own)
    return Envelope(envelope.payload_type, envelope.payload, (*others, Signature(own, value)))


def read_envelope(data: bytes) -> Envelope:
    """Return the envelope that a file holds; nothing of it is believed yet.

    Raises:
        SignatureError: FORMAT, it is no envelope, or larger than is read.
    """
    try:
        value = parse_checked(_few_parts(data), "signature", limit=MAX_ENVELOPE_BYTES)
        signatures = tuple(Signature(s["keyid"], _decoded(s["sig"])) for s in value["signatures"])
        return Envelope(value["payloadType"], _decoded(value["payload"]), signatures)
    except ValueError as error:
        hint = "have it signed again, or fetch it again"
        raise SignatureError(f"the signature {error}", hint=hint, reason="FORMAT") from error


def verify(envelope: Envelope, payload_type: str, keys: Iterable[PublicKey]) -> frozenset[str]:
    """Return the ids of those keys that did sign the payload as being of that type.

    What is written beside a signature says which key to try, and nothing else; so a
    stranger's envelope costs no more than its few signatures. One key counts once.

    Raises:
        SignatureError: TYPE, it was signed as something else.
    """
    if envelope.payload_type != payload_type:
        message = (
            f"this is signed as {envelope.payload_type[:100]!r}, which is not {payload_type!r}"
        )
        hint = "what was signed for one purpose is good for no other"
        raise SignatureError(message, hint=hint, reason="TYPE")
    signed = pre_authentication(payload_type, envelope.payload)
    known = {key_id(key): key for key in keys}
    return frozenset(
        s.key_hint
        for s in envelope.signatures
        if s.key_hint in known and _verifies(known[s.key_hint], s.value, signed)
    )


def open_signed(data: bytes, payload_type: str, key: PublicKey, *, signer: str) -> bytes:
    """Return what one certain key signed.

    Args:
        data: The envelope's JSON.
        payload_type: What it must have been signed as.
        key: The only key that counts.
        signer: Whose key that is, in words.

    Raises:
        SignatureError: FORMAT, TYPE or SIGNER_NOT_TRUSTED.
    """
    envelope = read_envelope(data)
    if not verify(envelope, payload_type, [key]):
        message = f"this is not signed by {signer}, or was altered after it was signed"
        raise SignatureError(message, reason="SIGNER_NOT_TRUSTED")
    return envelope.payload


def pre_authentication(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes that a signature covers (DSSE's PAE)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def key_id(key: PublicKey) -> str:
    """Return the sha256, in hex, of a key's SubjectPublicKeyInfo in DER."""
    # Deferred, like every import of cryptography: most commands verify nothing.
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        PublicFormat,
    )

    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return sha256(der).hexdigest()


def load_public_key(pem: bytes) -> PublicKey:
    """Return the public key of a PEM text.

    Raises:
        ValueError: It is none, or neither Ed25519 nor P-256.
    """
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        load_pem_public_key,
    )

    try:
        key: Any = load_pem_public_key(pem)
    except UnsupportedAlgorithm as error:
        raise ValueError(f"the key is of an unknown kind: {error}") from error
    if not _is_ours(key):
        raise ValueError("the key is neither Ed25519 nor ECDSA P-256")
    loaded: PublicKey = key
    return loaded


def _is_ours(key: Any) -> bool:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519  # noqa: PLC0415

    if isinstance(key, ec.EllipticCurvePublicKey):
        return isinstance(key.curve, ec.SECP256R1)
    return isinstance(key, ed25519.Ed25519PublicKey)


def _sign(key: PrivateKey, message: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    return key.sign(message, ec.ECDSA(SHA256()))


def _verifies(key: PublicKey, value: bytes, message: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(value, message)
        else:
            key.verify(value, message, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def _few_parts(data: bytes) -> bytes:
    if data.count(b"{") + data.count(b"[") > _MAX_PARTS:
        raise ValueError("is no envelope: it holds too many parts")
    return data


def _decoded(text: str) -> bytes:
    """Return what base64 stands for; each content has one spelling only."""
    try:
        data = base64.b64decode(text, validate=True)
    except Base64Error as error:
        raise ValueError(f"is not base64: {error}") from error
    if base64.b64encode(data).decode() != text:
        raise ValueError("is not base64 as it is usually written")
    return data
