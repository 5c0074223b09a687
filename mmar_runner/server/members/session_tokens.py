# SPDX-License-Identifier: Apache-2.0
"""The tokens of one run: issued to a client's session, and believed for this run alone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mmar_runner.errors import RefusedError

if TYPE_CHECKING:
    from mmar_runner.security.tokens import TokenClaims, TokenMint
    from mmar_runner.server.members.registry import Client
    from mmar_runner.wire.gate import Peer


class SessionTokens:
    """Issues and reads the tokens of one run.

    Args:
        mint: Signs them.
        run_number: The run that they are good for.
        epoch: What the run has done so far, likewise: see `RunState`.
    """

    def __init__(self, mint: TokenMint, *, run_number: int, epoch: str) -> None:
        self._mint = mint
        self._run_number = run_number
        self._epoch = epoch

    @property
    def lifetime(self) -> float:
        """How long a token is good for, in seconds."""
        return self._mint.lifetime

    def issue(self, client: Client) -> str:
        """Return a token for a client's session and certificate."""
        return self._mint.issue(
            client.name,
            client.key_sha256,
            self._run_number,
            client.fingerprint,
            now=time.time(),
            history=self._epoch,
        )

    def read(self, token: str, peer: Peer) -> TokenClaims:
        """Return what a token says, if it is good for this run and came from whom it is for.

        Raises:
            RefusedError: TOKEN_INVALID, TOKEN_EXPIRED or TOKEN_NOT_BOUND.
        """
        claims = self._mint.read(token, fingerprint=peer.fingerprint, now=time.time())
        if claims.run_number != self._run_number:
            msg = f"the token was issued for run {claims.run_number}"
            raise RefusedError(msg, reason="TOKEN_INVALID", hint="register again")
        if claims.history != self._epoch:
            msg = "the token was issued before the run went back a round, or began anew"
            raise RefusedError(msg, reason="TOKEN_INVALID", hint="register again")
        return claims

    def renewed(self, claims: TokenClaims, client: Client) -> str:
        """Return a token to use from now on, if it is time for a new one; else nothing."""
        return self.issue(client) if self._mint.wants_renewal(claims, now=time.time()) else ""
