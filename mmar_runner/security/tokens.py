# SPDX-License-Identifier: Apache-2.0
"""Session tokens: short-lived, bound to one certificate, one session and one run.

A token is ``v1.PAYLOAD.MAC``: base64url of a JSON list, and the HMAC-SHA256 of
everything before it. The form knows one algorithm, so none can be chosen by a peer. The
secret lies in the workspace, so that tokens survive the server that issued them.
"""

from __future__ import annotations

import binascii
import hmac
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import KitError, RefusedError
from mmar_runner.storage.atomic import translated, write_new
from mmar_runner.storage.bounded import read_bounded

if TYPE_CHECKING:
    from pathlib import Path

_VERSION: Final = "v1"
_SECRET_BYTES: Final = 32
#: Letters of the longest token that is looked at.
_LONGEST: Final = 1024
_OWNER_ONLY: Final = 0o600
#: Permission bits that let anybody but the owner in.
_OTHERS: Final = 0o077


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """What a token says.

    Attributes:
        client: The client's name in the federation.
        session: Digest of the session's key, hex.
        run_number: The run.
        fingerprint: sha256 of the client's certificate, hex; empty without TLS.
        expires: Until when it is good, seconds since the epoch.
        history: Names what the run had done when the token was issued; another one means
            that the run went back since, or that it is another run.
    """

    client: str
    session: str
    run_number: int
    fingerprint: str
    expires: float
    history: str = ""


class TokenMint:
    """Issues tokens and knows its own again.

    Args:
        secret: At least 32 random bytes.
        lifetime: Seconds a token is good for.
    """

    def __init__(self, secret: bytes, *, lifetime: float) -> None:
        if len(secret) < _SECRET_BYTES:
            msg = f"a secret of fewer than {_SECRET_BYTES} bytes"
            raise ValueError(msg)
        self._secret = secret
        self.lifetime = lifetime

    def issue(
        self,
        client: str,
        session: str,
        run_number: int,
        fingerprint: str,
        *,
        now: float,
        history: str = "",
    ) -> str:
        """Return a token that is good from ``now`` (seconds since the epoch) on."""
        expires = now + self.lifetime
        claims = TokenClaims(client, session, run_number, fingerprint, expires, history)
        body = json.dumps(astuple(claims), separators=(",", ":")).encode()
        head = f"{_VERSION}.{_encode(body)}"
        return f"{head}.{_encode(self._mac(head))}"

    def read(self, token: str, *, fingerprint: str, now: float) -> TokenClaims:
        """Return what a token of this mint says.

        Args:
            token: What a peer showed.
            fingerprint: Of the peer's certificate.
            now: Seconds since the epoch.

        Raises:
            RefusedError: TOKEN_INVALID, TOKEN_EXPIRED, or TOKEN_NOT_BOUND if it was
                issued to the holder of another certificate.
        """
        claims = self._genuine(token)
        if not hmac.compare_digest(claims.fingerprint, fingerprint):
            msg = "the token was issued to another certificate"
            raise RefusedError(msg, reason="TOKEN_NOT_BOUND", hint="register again")
        if now >= claims.expires:
            msg = f"the token expired {now - claims.expires:.0f} s ago"
            raise RefusedError(msg, reason="TOKEN_EXPIRED", hint="register again")
        return claims

    def wants_renewal(self, claims: TokenClaims, *, now: float) -> bool:
        """Return True if half of a token's life is over."""
        return claims.expires - now < self.lifetime / 2

    def _genuine(self, token: str) -> TokenClaims:
        head, _, mac = token.rpartition(".")
        try:
            genuine = len(token) <= _LONGEST and hmac.compare_digest(_decode(mac), self._mac(head))
        except ValueError:
            genuine = False
        if not genuine:
            msg = "the token is not one of this run"
            raise RefusedError(msg, reason="TOKEN_INVALID", hint="register again")
        # Only what this mint has written comes this far.
        return TokenClaims(*json.loads(_decode(head.partition(".")[2])))

    def _mac(self, head: str) -> bytes:
        return hmac.digest(self._secret, head.encode(), "sha256")


def workspace_secret(path: Path) -> bytes:
    """Return the secret in a file, which is made if it is not there (mode 0600).

    Raises:
        KitError: Others may read it, or it is damaged.
        StorageError: It cannot be read or made.
    """
    if not path.exists():
        secret = secrets.token_bytes(_SECRET_BYTES)
        if write_new(path, secret, mode=_OWNER_ONLY):
            return secret
    return _kept_secret(path)


def _kept_secret(path: Path) -> bytes:
    with translated(path):
        others = path.stat().st_mode & _OTHERS
        secret = read_bounded(path, _SECRET_BYTES)
    if others:
        msg = f"{path} may be read by others"
        raise KitError(msg, reason="KEY_READABLE", hint=f"chmod 600 {path}")
    if len(secret) != _SECRET_BYTES:
        msg = f"{path} is damaged: it does not hold {_SECRET_BYTES} bytes"
        raise KitError(msg, hint="remove it; clients will register again by themselves")
    return secret


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    """Return the bytes; only the one way to write them is accepted.

    Raises:
        ValueError: It is not base64url, or not written as `_encode` writes.
    """
    try:
        data = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError("not base64url") from error
    if _encode(data) != text:
        raise ValueError("not written as it is here")
    return data
