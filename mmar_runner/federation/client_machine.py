# SPDX-License-Identifier: Apache-2.0
"""What a client does about what a server refuses. Pure: a reason in, a reaction out.

A refusal is final unless it is named here, so that a reason nobody knew when this was
written never makes a client knock for ever.
"""

from __future__ import annotations

from enum import StrEnum, auto
from typing import Final


class Reaction(StrEnum):
    """What to do after a refusal."""

    #: The same call may succeed a little later.
    RETRY = auto()
    #: The server does not know the token: register again, then make the same call.
    REGISTER = auto()
    #: The certificate is too old: if it was renewed on disk, call again with that one.
    RENEW = auto()
    #: What was sent was damaged on its way: send it once more, from the beginning.
    RESEND = auto()
    #: The run is over: the held stream says how it ended.
    LISTEN = auto()
    #: The answer will not change.
    GIVE_UP = auto()


_REACTIONS: Final = {
    # Nothing is carried out unaudited: a server that cannot write goes on when it can.
    "AUDIT_OVERLOADED": Reaction.RETRY,
    "AUDIT_WRITE": Reaction.RETRY,
    "DISK_FULL": Reaction.RETRY,
    "OVERLOADED": Reaction.RETRY,
    "SERVER_STOPPING": Reaction.RETRY,
    # A standing server between two runs, or before the one that was announced.
    "NO_RUN": Reaction.RETRY,
    # The server's disk, which says nothing about what was sent.
    "STORAGE": Reaction.RETRY,
    "TOO_MANY_UPLOADS": Reaction.RETRY,
    "TOO_SLOW": Reaction.RETRY,
    "TOO_MANY_CALLS": Reaction.RETRY,
    "RATE_LIMITED": Reaction.RETRY,
    "TOKEN_INVALID": Reaction.REGISTER,
    "TOKEN_EXPIRED": Reaction.REGISTER,
    "TOKEN_NOT_BOUND": Reaction.REGISTER,
    "CERT_EXPIRED": Reaction.RENEW,
    "DIGEST": Reaction.RESEND,
    "RUN_OVER": Reaction.LISTEN,
}

#: How often something that was damaged on its way is sent in all.
MAX_SENDS: Final = 3


def reaction_to(reason: str) -> Reaction:
    """Return what a client does after a refusal with that reason id."""
    return _REACTIONS.get(reason, Reaction.GIVE_UP)
