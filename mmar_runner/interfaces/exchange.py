# SPDX-License-Identifier: Apache-2.0
"""What an aggregator must be that lets the clients of a round exchange messages.

A protocol between the clients of one round, such as secure aggregation, is a row of phases. In
each of them every client that takes part hands in one payload, and once all of them have, each
is answered with what is for it. The server keeps the payloads; an `ExchangeHandler` says what
they are answered with. Before clients send their updates it has the phases of `before`; once
their updates are counted, `at_close` tells them whose, and `after` follows. At a client a filter
takes part: see `mmar_runner.interfaces.filter`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from mmar_runner.interfaces.aggregator import AggregationContext


class ExchangeHandler(ABC):
    """Answers the phases of one protocol; an aggregator may be one, too.

    It draws nothing by chance: the same context and the same payloads have the same answers. A
    server that was killed calls `open` and `answer` again with what it had written down, and
    goes on from there.

    Attributes:
        topic: Names the protocol.
        before: Phases that come before a client's update, in order.
        at_close: The phase in which clients hand in nothing, and hear whose updates count.
        after: Phases that come then, in order, before the updates are combined.
    """

    topic: ClassVar[str]
    before: ClassVar[tuple[str, ...]]
    at_close: ClassVar[str]
    after: ClassVar[tuple[str, ...]]

    @abstractmethod
    def open(self, context: AggregationContext) -> None:
        """Begin a round, or begin it once more; forget what was exchanged before.

        Args:
            context: The round; its secret is the same each time.
        """

    def least(self, phase: str) -> int:
        """Return how many clients a phase needs; asked when all before it are over."""
        del phase
        return 1

    def seconds(self, phase: str) -> float | None:
        """Return how long a phase waits for those who are there; the first from its first payload.

        None waits for as long as they are there; in the first phase as long as a round waits for
        stragglers, once it has as many payloads as the round needs updates.
        """
        del phase
        return None

    def check(self, phase: str, client: str, payload: bytes) -> None:
        """Look at a payload before it counts.

        Raises:
            ValueError: It is not what this client can hand in now.
        """

    @abstractmethod
    def answer(self, phase: str, payloads: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Return what each client is answered, by name, at most 1 MiB each.

        Args:
            phase: Which, in the order of `before`, `at_close` and `after`.
            payloads: What clients handed in, by name, of those who did; for `at_close` nothing
                of each whose update counts.

        Raises:
            RefusedError: The protocol cannot go on; it is begun anew, with new tasks.
        """
