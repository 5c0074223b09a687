# SPDX-License-Identifier: Apache-2.0
"""Do declared privacy budgets last for the declared rounds? Plugins state how they are spent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmar_runner.federation.gaussian_privacy import gaussian_epsilon
from mmar_runner.interfaces.tags import Tag
from mmar_runner.mmar.checks.case import number, whole
from mmar_runner.mmar.checks.stated import outbound_filters, server_part
from mmar_runner.mmar.components.build import task_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.checks.stated import Stated
    from mmar_runner.mmar.document import Document

_NOT_IN_EVERY_ROUND = {Tag.ONE_AT_A_TIME, Tag.ASYNCHRONOUS}


def check_budgets(look: Look) -> None:
    """Say that the rounds of the run would spend more than a component was given."""
    if look.server is None or (rounds := _rounds(look.server)) is None:
        return
    for part in _spending(look, look.server):
        _check(look, part, rounds)


def _rounds(server: Document) -> int | None:
    """Return how many rounds there are to be; None if that is not said, or said wrongly."""
    start, stop = whole(task_value(server, "start_round")), whole(task_value(server, "num_rounds"))
    if start is None or stop is None or start < 0 or stop <= start:
        return None
    return stop - start


def _spending(look: Look, server: Document) -> Iterator[Stated]:
    """Yield what spends in every round, whoever is asked."""
    aggregator, workflow = server_part(look, "aggregator"), server_part(look, "workflow")
    if aggregator is not None:
        yield aggregator
    tags = workflow.tags if workflow is not None else frozenset()
    if server.value.get("clients_per_round") is None and not tags & _NOT_IN_EVERY_ROUND:
        yield from outbound_filters(look)


def _check(look: Look, part: Stated, rounds: int) -> None:
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
    noise /= told.get("sensitivity", 1)
    spent = gaussian_epsilon(noise, rounds, delta)
    if spent <= budget:
        return
    where = (*part.path, "args", told["budget"])
    if look.findings.is_wrong_at(part.document, where):
        return
    message = (
        f"{rounds} rounds of '{part.name}' spend an epsilon of {spent:.3g}, and it is given "
        f"{budget:g} (delta {delta:g})."
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
