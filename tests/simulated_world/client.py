# SPDX-License-Identifier: Apache-2.0
"""A client in the simulated world: it asks, trains, submits, and repeats itself.

It behaves as a session does: every request is repeated until it is answered, a
finished update is kept on disk until it is receipted or refused, and a process that
died begins again from that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulated_world.server import Server
    from tests.simulated_world.world import World

PATIENCE = 4.0
HEARTBEAT = 2.0


def train(client: str, number: int, base: str) -> str:
    """Return the update that a client makes of a model, as a hash."""
    return hashlib.sha256(f"{client}|{number}|{base}".encode()).hexdigest()


class Client:
    """One site and its processes.

    Args:
        world: Where it lives.
        name: Its name.
        server: The server that is there now, or None.
    """

    def __init__(self, world: World, name: str, server: Callable[[], Server | None]) -> None:
        self.world, self.name, self._server = world, name, server
        self.ended: tuple[str, str] | None = None
        self.kept: tuple[int, str, str] | None = None  # round, base, digest: on its disk
        self._process = 0
        self._step = 0
        self.start()

    def start(self) -> None:
        """Begin a process; what an earlier one had in memory is gone."""
        self._process += 1
        self._after = (-1, 0)
        self._task: tuple[int, int, str] | None = None
        self._failed: tuple[int, int] | None = None  # a task, until the server knows
        self._registered = False
        self._beat(self._process)
        self._register()

    def crash(self) -> None:
        """Die, and be started again some time later."""
        self._process += 1
        self._registered = False
        process = self._process
        seconds = self.world.rng.uniform(0.1, 20)
        self.world.later(seconds, lambda: self.start() if self._process == process else None)

    # Steps

    def _register(self) -> None:
        self._ask(lambda server, reply: server.register(self.name, reply))

    def _go_on(self) -> None:
        if self._failed is not None:
            failed = self._failed
            self._ask(lambda server, reply: server.fail(self.name, failed, reply))
        elif self.kept is not None:
            number, base, digest = self.kept
            self._ask(lambda server, reply: server.submit(self.name, number, base, digest, reply))
        elif self._task is None:
            after = self._after
            self._ask(lambda server, reply: server.get_model(self.name, after, reply))

    def _train(self, task: tuple[int, int, str]) -> None:
        self._task = task
        self._after = task[:2]
        process = self._process
        self.world.later(self.world.rng.uniform(0.1, 6), lambda: self._trained(process, task))

    def _trained(self, process: int, task: tuple[int, int, str]) -> None:
        if process != self._process or self.ended:
            return
        number, attempt, base = task
        self._task = None
        failing = self.world.now < self.world.faults_end
        if failing and self.world.rng.random() < self.world.weather.task_failures:
            self._failed = (number, attempt)
        else:
            self.kept = (number, base, train(self.name, number, base))
        self._go_on()

    def _heard(self, what: str, facts: Any) -> None:
        match what:
            case "unknown":
                self._register()
            case "registered":
                self._registered = True
                self._go_on()
            case "noted":
                self._failed = None
                self._go_on()
            case "task":
                self._train(facts)
            case "receipt":
                self.kept = None
                self._go_on()
            case "mismatch":
                # The server knows nothing of this task: whatever it has now is wanted.
                self.kept, self._failed, self._after = None, None, (-1, 0)
                self._go_on()
            case "end":
                self.ended = facts

    # Talking

    def _ask(self, request: Callable[[Server, Callable[[str, Any], None]], None]) -> None:
        """Send a request until this step is answered; later answers are not heard."""
        self._step += 1
        self._try(request, self._process, self._step)

    def _try(self, request: Callable[..., None], process: int, step: int) -> None:
        if (process, step) != (self._process, self._step) or self.ended:
            return
        self._send(request, lambda what, facts: self._answered(process, step, what, facts))
        seconds = PATIENCE * self.world.rng.uniform(0.8, 1.2)
        self.world.later(seconds, lambda: self._try(request, process, step))

    def _answered(self, process: int, step: int, what: str, facts: Any) -> None:
        if (process, step) == (self._process, self._step) and not self.ended:
            self._step += 1
            self._heard(what, facts)

    def _send(self, request: Callable[..., None], heard: Callable[[str, Any], None]) -> None:
        def reply(what: str, facts: Any) -> None:
            self.world.send(self.name, lambda: heard(what, facts))

        def deliver() -> None:
            server = self._server()
            if server is not None:
                request(server, reply)

        self.world.send(self.name, deliver)

    def _beat(self, process: int) -> None:
        if process != self._process or self.ended:
            return
        if self._registered:
            self._send(
                lambda server, reply: server.heartbeat(self.name, reply),
                lambda what, _: self._lost(process) if what == "unknown" else None,
            )
        self.world.later(HEARTBEAT, lambda: self._beat(process))

    def _lost(self, process: int) -> None:
        """The server forgot this client while it trained: join again, go on training."""
        if process == self._process and self._task is not None and self._registered:
            self._registered = False
            self._register()
