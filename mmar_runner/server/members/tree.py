# SPDX-License-Identifier: Apache-2.0
"""A federation as a tree: whether combiners may come, and what is not done below one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import CertificateError, RefusedError
from mmar_runner.federation.composing import Combination, obstacles
from mmar_runner.security.identity import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mmar_runner.federation.assignment import AssignmentTable
    from mmar_runner.interfaces.aggregator import TensorwiseAggregator
    from mmar_runner.interfaces.workflow import Workflow
    from mmar_runner.mmar.spec import ServerSpec
    from mmar_runner.wire.gate import Peer
    from mmar_runner.wire.messages import RegisterRequest

#: Letters of an address that a combiner says it answers at.
_ADDRESS: Final = re.compile(r"[A-Za-z0-9.\-\[\]:]{1,255}:[0-9]{1,5}")
_LAST_PORT: Final = 65535
#: What a run does to its updates cannot be done to sums of them.
_MEND: Final = "let its sites come to the server itself, without a combiner"


@dataclass(slots=True)
class Tree:
    """What a server is in a tree.

    Attributes:
        obstacle: Why combiners cannot come, in a sentence; empty if they can.
        is_combiner: Whether the server is a combiner itself.
        had_combiners: Whether a combiner has come, so that a site may count in what another sends.
        table: Who works below which combiner, if this server assigns clients; else None.
        expected: Whom the parent has assigned to this combiner; None where nobody is assigned.
        place: Says below which combiner a client has its place, by the project; None for anywhere.
        own: This combiner's name; empty for a server that is none.
        changed: Is called when a combiner said something of its sites.
        returned: Is called with the name of a combiner that was there before, and is again.
    """

    obstacle: str = ""
    is_combiner: bool = False
    had_combiners: bool = False
    table: AssignmentTable | None = None
    expected: frozenset[str] | None = None
    place: Callable[[str], str | None] = lambda _: None
    own: str = ""
    changed: Callable[[], None] = lambda: None
    returned: Callable[[str], None] = lambda _: None

    def takes_part(self, name: str) -> bool:
        """Return whether a client has a part in rounds: not a combiner without clients."""
        if self.table is None or name not in self.table.combiners:
            return True
        return bool(self.table.below(name))

    def restore(self, combiners: Iterable[str]) -> None:
        """Take in the combiners that were there when the journal ended."""
        names = set(combiners)
        self.had_combiners |= bool(names)
        if self.table is not None:
            self.table.combiners |= names

    def came(self, name: str, *, combines: bool) -> None:
        """A client is in, which may be a combiner."""
        if combines:
            self.restore([name])

    def admit(self, request: RegisterRequest, peer: Peer) -> None:
        """Refuse a combiner where nothing composes, and whoever is none but says so.

        Raises:
            RefusedError: DOES_NOT_COMPOSE; NOT_BELOW_COMBINERS, the client wants what is not
                done below a combiner; NOT_ASSIGNED, it is to work below another one;
                SERVES_AT, nobody could be assigned to the combiner.
            CertificateError: ROLE, the certificate says something else.
        """
        _require_role(request, peer)
        if request.combines and self.obstacle:
            msg = f"no combiner can work for this run: {self.obstacle}"
            raise RefusedError(msg, reason="DOES_NOT_COMPOSE", hint=_MEND)
        if self.is_combiner and request.cross_validate:
            msg = "cross-site validation is not done below a combiner, and the MMAR asks for it"
            hint = "remove cross_site_validation from config_fed_client.json, or leave the tree"
            raise RefusedError(msg, reason="NOT_BELOW_COMBINERS", hint=hint)
        self._require_assigned(request)
        self._require_place(request.client_name)
        if self.table is not None:
            _require_combiner(request)

    def _require_place(self, name: str) -> None:
        place = self.place(name)
        if place is not None and place != self.own:
            msg = f"the project has {name} work below the combiner {place}"
            hint = "start it with its kit alone; another place: project.yml, and new kits"
            raise RefusedError(msg, reason="NOT_ASSIGNED", hint=hint)

    def _require_assigned(self, request: RegisterRequest) -> None:
        if self.expected is None or request.client_name in self.expected:
            return
        msg = f"{request.client_name} is not assigned to this combiner"
        hint = "start the client with --controller and the address of the server that assigns"
        if request.combines:
            hint = "combiners stand directly below a server that assigns: give --parent its address"
        raise RefusedError(msg, reason="NOT_ASSIGNED", hint=hint)


def obstacle(server: ServerSpec, rule: TensorwiseAggregator, workflow: Workflow) -> str:
    """Return why updates of a run cannot be added up by combiners, in a sentence; empty if so.

    Args:
        server: What the MMAR declares.
        rule: Its aggregator, or what stands for one in a child.
        workflow: Its workflow.
    """
    combination = Combination(
        aggregator=server.aggregator.name,
        composes=rule.composes and rule.foldable and rule.takes is None,
        takes_turns=workflow.takes_turns,
        waits=workflow.max_staleness is None,
        draws=server.clients_per_round is not None,
        inbound_filters=tuple(one.name for one in server.inbound_filters),
    )
    return next((one.why for one in obstacles(combination)), "")


def _require_combiner(request: RegisterRequest) -> None:
    """Let nobody but combiners come to a server that assigns, each with an address of its own."""
    if not request.combines:
        msg = "this server assigns its clients to combiners, and none works below it directly"
        hint = "start the client with --controller in place of --server"
        raise RefusedError(msg, reason="NOT_ASSIGNED", hint=hint)
    address = request.serves_at
    host, _, port = address.rpartition(":")
    if not _ADDRESS.fullmatch(address) or host == "unix" or not 0 < int(port) <= _LAST_PORT:
        msg = f"this server assigns clients, and the combiner says of itself: {address!r:.80}"
        hint = "a combiner says where its clients call it: run-combiner --listen HOST:PORT"
        raise RefusedError(msg, reason="SERVES_AT", hint=hint)


def _require_role(request: RegisterRequest, peer: Peer) -> None:
    if peer.certificate is None:
        return  # in plain text, on loopback, whoever comes is believed
    role = peer.certificate.identity.role
    if request.combines is not (role is Role.COMBINER):
        msg = f"the certificate of {peer.who} is that of a {role}"
        hint = "a combiner is started with run-combiner, and a client with run-client"
        raise CertificateError(msg, reason="ROLE", hint=hint)
