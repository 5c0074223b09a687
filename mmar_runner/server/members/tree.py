# SPDX-License-Identifier: Apache-2.0
"""A federation as a tree: whether combiners may come, and what is not done below one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import CertificateError, RefusedError
from mmar_runner.security.identity import Role

if TYPE_CHECKING:
    from mmar_runner.interfaces.aggregator import TensorwiseAggregator
    from mmar_runner.interfaces.workflow import Workflow
    from mmar_runner.mmar.spec import ServerSpec
    from mmar_runner.wire.gate import Peer
    from mmar_runner.wire.messages import RegisterRequest

#: What a run does to its updates cannot be done to sums of them.
_MEND: Final = "let its sites come to the server itself, without a combiner"


@dataclass(slots=True)
class Tree:
    """What a server is in a tree.

    Attributes:
        obstacle: Why combiners cannot come, in a sentence; empty if they can.
        is_combiner: Whether the server is a combiner itself.
        had_combiners: Whether a combiner has come, so that a site may count in what another sends.
    """

    obstacle: str = ""
    is_combiner: bool = False
    had_combiners: bool = False

    def admit(self, request: RegisterRequest, peer: Peer) -> None:
        """Refuse a combiner where nothing composes, and whoever is none but says so.

        Raises:
            RefusedError: DOES_NOT_COMPOSE; NOT_BELOW_COMBINERS, the client wants what is not
                done below a combiner.
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
        self.had_combiners |= request.combines


def obstacle(server: ServerSpec, rule: TensorwiseAggregator, workflow: Workflow) -> str:
    """Return why updates of a run cannot be added up by combiners, in a sentence; empty if so.

    Args:
        server: What the MMAR declares.
        rule: Its aggregator, or what stands for one in a child.
        workflow: Its workflow.
    """
    name = server.aggregator.name
    if not (rule.composes and rule.foldable) or rule.takes is not None:
        return f"{name} needs every site's update: it does not work on sums of them"
    if workflow.takes_turns:
        return "where one client works at a time there is nothing to add up"
    if workflow.max_staleness is not None:
        return "where clients do not wait for each other, a sum would be of several models"
    if server.clients_per_round is not None:
        return "clients_per_round draws among all sites, and a combiner knows its own alone"
    if server.inbound_filters:
        filters = ", ".join(one.name for one in server.inbound_filters)
        return f"{filters} of the server's inbound_filters would see sums of updates"
    return ""


def _require_role(request: RegisterRequest, peer: Peer) -> None:
    if peer.certificate is None:
        return  # in plain text, on loopback, whoever comes is believed
    role = peer.certificate.identity.role
    if request.combines is not (role is Role.COMBINER):
        msg = f"the certificate of {peer.who} is that of a {role}"
        hint = "a combiner is started with run-combiner, and a client with run-client"
        raise CertificateError(msg, reason="ROLE", hint=hint)
