# SPDX-License-Identifier: Apache-2.0
"""What the sites below a combiner do, as it says with its heartbeats. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mmar_runner.federation.client_status import ClientStatus
from mmar_runner.interfaces.update import SEPARATOR
from mmar_runner.server.members.registry import SiteBelow, is_client_name
from mmar_runner.wire.messages import ClientState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mmar_runner.server.members.registry import Client
    from mmar_runner.wire.messages import SiteState

#: Sites below one combiner of which something is kept: what may be said in one message is more.
MOST_SITES_BELOW: Final = 10_000
#: Levels of combiners below one another.
MOST_LEVELS: Final = 8
#: How what a client does is said.
STATES: Final = {
    ClientStatus.IDLE: ClientState.CLIENT_STATE_IDLE,
    ClientStatus.TRAINING: ClientState.CLIENT_STATE_TRAINING,
    ClientStatus.VALIDATING: ClientState.CLIENT_STATE_VALIDATING,
}
_STATUS: Final[Mapping[int, ClientStatus]] = {said: status for status, said in STATES.items()}


def status_of(state: int) -> ClientStatus:
    """Return what a client says that it does; UNKNOWN for what this version does not know."""
    return _STATUS.get(state, ClientStatus.UNKNOWN)


def sites_below(said: Iterable[SiteState]) -> Iterator[SiteBelow]:
    """Yield what a combiner says of its sites, but for what names no site."""
    for one in said:
        names = one.path.split(SEPARATOR)
        if len(names) <= MOST_LEVELS and all(map(is_client_name, names)):
            yield SiteBelow(one.path, status_of(one.state), max(-1, one.round))


def below_of(client: Client) -> Iterator[SiteBelow]:
    """Yield what a client does, or what those below it do if it is a combiner."""
    if not client.combines:
        yield SiteBelow(client.name, client.state, client.works_on)
    for one in client.below:
        yield SiteBelow(f"{client.name}{SEPARATOR}{one.path}", one.state, one.round)
