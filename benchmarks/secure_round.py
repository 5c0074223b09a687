# SPDX-License-Identifier: Apache-2.0
"""One round's messages of secure aggregation, without a network: what comes before the sum."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mmar_runner.interfaces.aggregator import AggregationContext, UpdateKind
from mmar_runner.interfaces.filter import FilterContext
from mmar_runner_secagg.masking import SecAggFilter

if TYPE_CHECKING:
    from mmar_runner_secagg.secure_sum import SecureSum

_PATIENCE: Final = 60.0


class _Hub:
    """Answers a phase once every client has handed in."""

    def __init__(self, rule: SecureSum, clients: int) -> None:
        self._rule, self._clients = rule, clients
        self._posts: dict[str, dict[str, bytes]] = {}
        self._answers: dict[str, dict[str, bytes]] = {}
        self._news = threading.Condition()

    def exchange(self, client: str, phase: str, payload: bytes) -> bytes:
        with self._news:
            posts = self._posts.setdefault(phase, {})
            self._rule.check(phase, client, payload)
            posts[client] = payload
            if len(posts) == self._clients:
                self._answers[phase] = dict(self._rule.answer(phase, posts))
                self._news.notify_all()
            if not self._news.wait_for(lambda: phase in self._answers, timeout=_PATIENCE):
                raise TimeoutError(phase)
            return self._answers[phase][client]


def unmask(
    rule: SecureSum, clients: Sequence[str], context: AggregationContext, folder: Path
) -> None:
    """Let clients agree on masks and give away what undoes those of the sum.

    Args:
        rule: The server's.
        clients: Their names.
        context: Of the round.
        folder: Where clients keep what they must not forget.
    """
    rule.open(context)
    hub = _Hub(rule, len(clients))

    def take_part(name: str) -> None:
        ledger = folder / "ledgers" / name
        ledger.mkdir(parents=True, exist_ok=True)
        told = FilterContext(
            name,
            context.round,
            UpdateKind.WEIGHT_DIFF,
            seed=1,
            num_samples=1.0,
            ledger=ledger,
            exchange=partial(hub.exchange, name),
        )
        one = SecAggFilter()
        one.begin(told)
        one.settle(told)

    with ThreadPoolExecutor(len(clients)) as threads:
        list(threads.map(take_part, clients))
