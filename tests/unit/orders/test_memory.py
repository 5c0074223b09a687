# SPDX-License-Identifier: Apache-2.0
"""The same order counts once: also after a restart, and however many others come."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.errors import SignatureError, StorageError
from mmar_runner.orders import memory as memories
from mmar_runner.orders.memory import OrderMemory
from mmar_runner.orders.order import LIFE, MOST_LIFE, SKEW
from tests.unit.orders.conftest import BOB, LEAD, NOW


def refused(memory: OrderMemory, order: Any, *, now: Any = NOW) -> str:
    with pytest.raises(SignatureError) as error:
        memory.note(order, now=now)
    return str(error.value.reason)


def test_an_order_counts_once(office: Any) -> None:
    memory, order = OrderMemory(), office.order()
    memory.note(order, now=NOW)
    assert refused(memory, order) == "ORDER_REPLAYED"
    memory.note(office.order(), now=NOW)


def test_it_is_remembered_for_as_long_as_it_could_be_shown_again(office: Any) -> None:
    memory, order = OrderMemory(), office.order()
    memory.note(order, now=NOW)
    assert refused(memory, order, now=NOW + LIFE + SKEW) == "ORDER_REPLAYED"


def test_another_process_remembers_it(office: Any, tmp_path: Path) -> None:
    path, order = tmp_path / "orders.json", office.order()
    OrderMemory(path).note(order, now=NOW)
    assert refused(OrderMemory(path), order) == "ORDER_REPLAYED"


def test_an_order_is_kept_before_it_is_carried_out(office: Any, tmp_path: Path) -> None:
    """What cannot be kept is not carried out."""
    path = tmp_path / "nowhere" / "orders.json"
    with pytest.raises(StorageError):
        OrderMemory(path).note(office.order(), now=NOW)


def test_what_is_over_is_forgotten(office: Any, tmp_path: Path) -> None:
    path = tmp_path / "orders.json"
    memory = OrderMemory(path)
    memory.note(office.order(), now=NOW)
    later = NOW + LIFE + SKEW + timedelta(seconds=1)
    office.now = later
    memory.note(office.order(), now=later)
    assert path.read_text().count("+00:00") == 1


def test_an_order_that_holds_for_long_is_remembered_for_long(office: Any, tmp_path: Path) -> None:
    path, order = tmp_path / "orders.json", office.order("enqueue", "x", "client", life=MOST_LIFE)
    OrderMemory(path).note(order, now=NOW)
    assert refused(OrderMemory(path), order, now=NOW + MOST_LIFE) == "ORDER_REPLAYED"


def test_whoever_orders_too_much_waits_and_nobody_else(
    office: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memories, "_OF_ONE", 3)
    memory = OrderMemory()
    for _ in range(3):
        memory.note(office.order(), now=NOW)
    assert refused(memory, office.order()) == "ORDER_FLOOD"
    memory.note(office.order(user=BOB), now=NOW)
    office.now = later = NOW + LIFE + SKEW + timedelta(seconds=1)
    memory.note(office.order(user=LEAD), now=later)


def test_all_together_have_a_bound_too(office: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memories, "_MOST", 4)
    memory = OrderMemory()
    for number in range(4):
        memory.note(office.order(user=f"user-{number}@a.org"), now=NOW)
    assert refused(memory, office.order()) == "ORDER_FLOOD"


def test_the_bound_holds_over_a_restart(
    office: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memories, "_OF_ONE", 1)
    path = tmp_path / "orders.json"
    OrderMemory(path).note(office.order(), now=NOW)
    assert refused(OrderMemory(path), office.order()) == "ORDER_FLOOD"


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"a": 5}', b'{"a": {"user": "x", "until": "now"}}', b"\xff"]
)
def test_a_damaged_memory_is_told_and_nothing_is_carried_out(tmp_path: Path, data: bytes) -> None:
    """An empty one would let everything be shown again."""
    path = tmp_path / "orders.json"
    path.write_bytes(data)
    with pytest.raises(StorageError, match=r"orders\.json") as error:
        OrderMemory(path)
    assert error.value.hint
