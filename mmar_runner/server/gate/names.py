# SPDX-License-Identifier: Apache-2.0
"""Who may have which name in the federation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from mmar_runner.errors import NotAuthorizedError, RefusedError
from mmar_runner.security.identity import Role
from mmar_runner.server.wording import plain

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from mmar_runner.security.decision import Decision
    from mmar_runner.wire.gate import Peer

#: Clients that one certificate may have at once, with ``--instance``, and the highest number
#: of one: whoever comes under ever new names would make journal and memory grow.
MAX_INSTANCES: Final = 16
_NUMBERS: Final = frozenset(str(number) for number in range(1, MAX_INSTANCES + 1))
_SHOWN: Final = 80


class NameRule(Protocol):
    """Says whether a caller may have a name."""

    def check(self, name: str, peer: Peer, present: Sequence[str]) -> None:
        """Raise unless a caller may have a name.

        Args:
            name: What it asks for.
            peer: Who it is.
            present: Names that clients of the same certificate have.

        Raises:
            RefusedError: NAME_MISMATCH or TOO_MANY_INSTANCES.
            NotAuthorizedError: Its site may not run this MMAR.
        """
        ...


class BelievedNames:
    """Every name is believed: plain text on loopback."""

    def check(self, name: str, peer: Peer, present: Sequence[str]) -> None:
        """Do nothing."""


class CertifiedNames:
    """A name is the certificate's, or that with ``_1`` to ``_16`` for a further instance.

    Args:
        participants: Every client of the project: none of their names is an instance's.
        decisions: What the policy says of this MMAR at each site.
    """

    def __init__(self, participants: Collection[str], decisions: Mapping[str, Decision]) -> None:
        self._participants = participants
        self._decisions = decisions

    def check(self, name: str, peer: Peer, present: Sequence[str]) -> None:
        """Raise unless a name is the caller's and its site may run the MMAR."""
        own = require_own_name(name, peer, present, self._participants)
        require_site(own, self._decisions)


def require_own_name(
    name: str, peer: Peer, present: Sequence[str], participants: Collection[str]
) -> str:
    """Return the name in a caller's certificate, if what it asks for is that or an instance's.

    Args:
        name: What it asks for.
        peer: Who it is.
        present: Names that clients of the same certificate have.
        participants: Every client of the project: none of their names is an instance's.

    Raises:
        RefusedError: CERT_MISSING, NAME_MISMATCH or TOO_MANY_INSTANCES.
    """
    if peer.certificate is None:
        msg = "a client is known by its certificate here"
        raise RefusedError(msg, reason="CERT_MISSING", hint="start the client with --kit")
    own = peer.certificate.identity.name
    if name != own and peer.certificate.identity.role is Role.COMBINER:
        msg = f"a combiner has its own name, {own}, and no further instances"
        raise RefusedError(msg, reason="NAME_MISMATCH", hint="provision a kit for each combiner")
    if name != own and not _is_instance(name, own, participants):
        msg = f"the certificate is {own!r}'s, not {plain(name, _SHOWN)!r}'s"
        hint = f"register as {own}, or as a further instance with --instance K"
        raise RefusedError(msg, reason="NAME_MISMATCH", hint=hint)
    if name != own and name.removeprefix(f"{own}_") not in _NUMBERS:
        msg = f"the instances of {own} are numbered 1 to {MAX_INSTANCES}"
        hint = "give another number with --instance"
        raise RefusedError(msg, reason="TOO_MANY_INSTANCES", hint=hint)
    if name not in present and len(present) >= MAX_INSTANCES:
        msg = f"{own} has {len(present)} clients at once already"
        raise RefusedError(msg, reason="TOO_MANY_INSTANCES", hint="let one of them end")
    return own


def _is_instance(name: str, own: str, participants: Collection[str]) -> bool:
    number = name.removeprefix(f"{own}_")
    plain_number = number.isascii() and number.isdecimal() and not number.startswith("0")
    return name == f"{own}_{number}" and plain_number and name not in participants


def require_site(site: str, decisions: Mapping[str, Decision]) -> None:
    """Raise unless a site may run the MMAR that is deployed.

    Args:
        site: A client's name.
        decisions: What the policy says of the MMAR at every site that it knows.

    Raises:
        NotAuthorizedError: SITE_UNKNOWN, or the reason of the rule that refuses.
    """
    decision = decisions.get(site)
    if decision is None:
        msg = f"the authorization policy knows no site {site!r}"
        hint = "add it to sites in authorization.json of the server's kit"
        raise NotAuthorizedError(msg, hint=hint, reason="SITE_UNKNOWN")
    decision.require()
