# SPDX-License-Identifier: Apache-2.0
"""The network: connections whose calls are ordered pipes with delay, and what breaks them.

A connection breaks for both sides at once, or one side learns of it much later (half-open):
what was under way may still arrive, and what it sends meanwhile is lost. So replies are lost
whose calls were carried out. Who is cut off reaches nobody; what is sent meanwhile arrives
once that is over, unless the connection was given up before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import grpc

if TYPE_CHECKING:
    from tests.simulated_world.calls import ClientCall
    from tests.simulated_world.process import Process
    from tests.simulated_world.serving import ServedCall, SimulatedServer
    from tests.simulated_world.world import World

#: How long a side that is told nothing believes in its connection: keepalive's time, and its
#: patience, in seconds.
_KEEPALIVE = (2.0, 30.0)
#: How long it takes to be told that nobody listens, and to give up where nobody answers.
_REFUSED = 0.05
_NO_ANSWER = 5.0


class Network:
    """Who reaches whom.

    Args:
        world: Where it lies.

    Attributes:
        listener: The server that accepts connections, or None.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.listener: SimulatedServer | None = None
        self._connections: list[Connection] = []
        self._cut_until: dict[str, float] = {}

    def cut_off(self, client: str, seconds: float) -> None:
        """Let nothing through from and to a client for a while."""
        until = max(self._cut_until.get(client, 0.0), self.world.now + seconds)
        self._cut_until[client] = until
        self.world.note("network", f"{client} is cut off for {seconds:.3f} s")
        for connection in [c for c in self._connections if c.client.name == client]:
            connection.give_up_after(self.world.rng.uniform(*_KEEPALIVE), seconds)

    def cut_for(self, client: str) -> float:
        """Return how long a client is still cut off, in seconds."""
        return max(0.0, self._cut_until.get(client, 0.0) - self.world.now)

    def connect(self, client: Process, lost: Callable[[], None]) -> Connection | float:
        """Return a new connection to the server, or in how many seconds it fails.

        Args:
            client: Who wants it.
            lost: Told when the client learns that it is broken.
        """
        if self.cut_for(client.name):
            return self.world.rng.uniform(0, _NO_ANSWER)
        if self.listener is None:
            return self.world.rng.uniform(0, _REFUSED)
        connection = Connection(self, client, self.listener, lost)
        self._connections.append(connection)
        return connection

    def forget(self, connection: Connection) -> None:
        """Know a connection no more, once neither side does."""
        if connection in self._connections:
            self._connections.remove(connection)

    def died(self, process: Process) -> None:
        """See that a process is no more: the other side is told, or has to find out."""
        if self.listener is not None and self.listener.process is process:
            self.listener = None
        for connection in list(self._connections):
            if process in {connection.client, connection.server.process}:
                late = process.power_cut or self.world.chance(0.2)
                connection.end_of(process, self._until_told(late=late))

    def _until_told(self, *, late: bool) -> float:
        return self.world.rng.uniform(*_KEEPALIVE) if late else self._delay()

    def _delay(self) -> float:
        longest = self.world.weather.delay if self.world.stormy else 0.005
        return self.world.rng.uniform(0.0005, longest)

    def delay_of(self, client: str) -> float:
        """Return how long a message from or to a client takes."""
        return self.cut_for(client) + self._delay()


class Connection:
    """One connection of a client to a server.

    Attributes:
        client: The process that opened it.
        server: Who answers.
        client_open: Whether the client believes in it.
        server_open: Whether the server does.
        calls: The client's calls that are running over it.
        served: The same calls, at the server.
    """

    def __init__(
        self,
        network: Network,
        client: Process,
        server: SimulatedServer,
        lost: Callable[[], None],
    ) -> None:
        self._network, self._world, self._lost = network, network.world, lost
        self.client, self.server = client, server
        self.client_open = self.server_open = True
        self.calls: set[ClientCall] = set()
        self.served: dict[ServedCall, None] = {}
        self._broken = False
        self._arrives_still = True

    def send(self, *, to_server: bool, not_before: float, arrive: Callable[[], None]) -> float:
        """Send something of one call; return when it arrives, so that what follows is later."""
        world = self._world
        world.action("send")
        if world.stormy and world.chance(world.weather.breaks):
            self._break()
        at = max(not_before, world.now + self._network.delay_of(self.client.name))
        if not self._broken:
            world.later(at - world.now, lambda: self._deliver(arrive, to_server=to_server))
        world.action("sent")
        return at

    def _deliver(self, arrive: Callable[[], None], *, to_server: bool) -> None:
        side = self.server_open if to_server else self.client_open
        if side and (not self._broken or self._arrives_still):
            arrive()

    def _break(self) -> None:
        """Break it: at once for both, or one of them learns late."""
        if self._broken:
            return
        self._broken = True
        self._arrives_still = self._world.chance(0.7)
        late = self._world.rng.choice(["nobody", "client", "server"])
        self._world.note("network", f"{self.client.name}'s connection breaks; late: {late}")
        soon, eventually = self._network._delay(), self._world.rng.uniform(*_KEEPALIVE)
        self._world.later(eventually if late == "client" else soon, self.client_down)
        self._world.later(eventually if late == "server" else soon, self.server_down)

    def give_up_after(self, patience: float, cut: float) -> None:
        """Have both sides give it up if it is cut for longer than they are patient."""
        if cut > patience and not self._broken:
            self._broken, self._arrives_still = True, False
            self._world.later(patience, self.client_down)
            self._world.later(self._world.rng.uniform(*_KEEPALIVE), self.server_down)

    def end_of(self, process: Process, told_after: float) -> None:
        """One side is no more; the other is told after a while."""
        self._broken = True
        if process is self.client:
            self.client_open = False
            self.calls.clear()
            self._world.later(told_after, self.server_down)
        else:
            self.server_open = False
            self.served.clear()
            self._world.later(told_after, self.client_down)

    def client_down(self) -> None:
        """The client learns that it is broken."""
        if self.client_open:
            self.client_open = False
            for call in sorted(self.calls, key=lambda call: call.number):
                call.end(grpc.StatusCode.UNAVAILABLE, "the connection was reset")
            self._lost()
        if not self.server_open:
            self._network.forget(self)

    def server_down(self) -> None:
        """The server learns that it is broken: it ends the calls."""
        if self.server_open:
            self.server_open = False
            for call in list(self.served):
                call.gone()
        if not self.client_open:
            self._network.forget(self)
