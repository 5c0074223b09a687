# SPDX-License-Identifier: Apache-2.0
"""What an earlier process knew of the first round, until it opens."""

from __future__ import annotations

from mmar_runner.federation.opening import Opening
from mmar_runner.federation.scatter_and_gather import ScatterAndGather
from mmar_runner.federation.sites import NO_SITES
from tests.unit.federation.machines import _machine, _plan


def test_everybody_who_was_removed_before_it_opens_is_known_to_its_book() -> None:
    clients = ("a", "b", "c")
    opening = Opening(
        _plan(),
        ScatterAndGather(),
        NO_SITES,
        accepted=("a", "b"),
        participants=clients,
        failures={},
    )
    opening.remove("a")
    opening.remove("b")
    book = opening.book(0, {"c"}, now=0.0)
    assert book.removed == {"a", "b"}
    assert not book.accepted


def test_who_is_there_is_told_in_order() -> None:
    assert _machine(resume={"active": ("b", "c", "a")}).present() == ["a", "b", "c"]
