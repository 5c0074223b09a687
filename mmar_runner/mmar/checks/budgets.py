# SPDX-License-Identifier: Apache-2.0
"""Do declared privacy budgets last for the declared rounds? Plugins state how they are spent."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mmar_runner.documents.words import counted
from mmar_runner.federation.gaussian_privacy import gaussian_epsilon
from mmar_runner.interfaces.tags import Tag
from mmar_runner.mmar.checks.case import number, whole
from mmar_runner.mmar.checks.stated import (
    INBOUND,
    OUTBOUND,
    client_filters,
    cross_site_filters,
    server_filters,
    server_part,
)
from mmar_runner.mmar.components.build import task_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.checks.stated import Stated
    from mmar_runner.mmar.document import Document

_NOT_IN_EVERY_ROUND = {Tag.ONE_AT_A_TIME, Tag.ASYNCHRONOUS}


def check_budgets(look: Look) -> None:
    """Say that the rounds of the run would spend more than a component was given."""
    if look.server is None:
        return
    rounds = look.asked.rounds if look.asked.rounds is not None else _rounds(look.server)
    if rounds is None:
        return
    for part in _spending(look, look.server):
        _check(look, part, rounds)
    for part in cross_site_filters(look):
        _check(look, part, 1)  # a site's best local model leaves once


def _rounds(server: Document) -> float | None:
    """Return how many rounds there are to be; None if that is not said, or said wrongly."""
    start, stop = whole(task_value(server, "start_round")), whole(task_value(server, "num_rounds"))
    if start is None or stop is None or start < 0:
        return None
    if stop < 0:
        return math.inf
    return stop - start if stop > start else None


def _spending(look: Look, server: Document) -> Iterator[Stated]:
    """Yield what spends in every round, whoever is asked."""
    aggregator, workflow = server_part(look, "aggregator"), server_part(look, "workflow")
    if aggregator is not None:
        yield aggregator
    yield from server_filters(look, OUTBOUND)
    tags = workflow.tags if workflow is not None else frozenset()
    drawn = look.asked.clients_per_round or server.value.get("clients_per_round")
    if drawn is None and not tags & _NOT_IN_EVERY_ROUND:
        yield from server_filters(look, INBOUND)
        yield from client_filters(look, INBOUND)
        yield from client_filters(look, OUTBOUND)


def _check(look: Look, part: Stated, rounds: float) -> None:
    told = part.spends
    if not told or part.args.get(told.get("unless", "")):
        return
    noise, budget, delta = (
        number(part.args.get(told[key])) for key in ("noise", "budget", "delta")
    )
    if noise is None or budget is None or delta is None:
        return
    if noise <= 0 or not 0 < delta < 1:
        return  # which was said
    where = (*part.path, "args", told["budget"])
    if look.findings.is_wrong_at(part.document, where):
        return
    if rounds == math.inf:
        message = f"A run without an end spends any budget; '{part.name}' is given {budget:g}."
        hint = "Write num_rounds, the round to stop at."
        look.findings.at(part.document, where, "MMAR653", message, hint=hint)
        return
    _compare(look, part, noise / told.get("sensitivity", 1), budget, delta, int(rounds))


def _compare(  # noqa: PLR0917 - the numbers of one sentence
    look: Look, part: Stated, noise: float, budget: float, delta: float, rounds: int
) -> None:
    spent = gaussian_epsilon(noise, rounds, delta)
    if spent <= budget:
        return
    where = (*part.path, "args", part.spends["budget"])
    message = (
        f"{counted(rounds, 'round')} of '{part.name}' spend an epsilon of {spent:.4g}, and it is "
        f"given {budget:g} (delta {delta:g})."
    )
    hint = f"{_most(noise, budget, delta, rounds)} More noise, or a larger epsilon, allows more."
    look.findings.at(
        part.document, where, "MMAR653", message, hint=part.document.explain(where, hint)
    )


def _most(noise: float, budget: float, delta: float, rounds: int) -> str:
    """Return in words how many rounds the budget lasts for."""
    low, high = 0, rounds
    while high - low > 1:
        middle = (low + high) // 2
        enough = gaussian_epsilon(noise, middle, delta) <= budget
        low, high = (middle, high) if enough else (low, middle)
    return f"It lasts for {low} round{'' if low == 1 else 's'}." if low else "It lasts for none."
