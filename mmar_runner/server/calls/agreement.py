# SPDX-License-Identifier: Apache-2.0
"""What server and client must agree on before anything is sent: how it travels. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmar_runner.errors import RefusedError

if TYPE_CHECKING:
    from mmar_runner.wire.messages import RegisterReply, RegisterRequest

_CODEC_MEND = "install a runner of the server's version at the client"
_COMPRESSION_MEND = "at the client: pip install 'mmar-runner[zstd]'"


def require_agreement(welcome: RegisterReply, request: RegisterRequest) -> None:
    """Refuse a client that cannot send or read what travels in this run.

    Args:
        welcome: What every client is told.
        request: What this one says of itself.

    Raises:
        RefusedError: CODEC or COMPRESSION.
    """
    codec, compression = welcome.update_codec, welcome.compression
    if codec and codec not in request.update_codecs:
        msg = f"updates of this run travel in codec {codec}, which the client does not know"
        raise RefusedError(msg, reason="CODEC", hint=_CODEC_MEND)
    if compression and compression not in request.compressions:
        msg = f"this run compresses what travels with {compression}, and the client cannot"
        raise RefusedError(msg, reason="COMPRESSION", hint=_COMPRESSION_MEND)
