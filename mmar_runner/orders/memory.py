# SPDX-License-Identifier: Apache-2.0
"""Which orders were carried out already: the same one counts once, also after a restart."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.documents.strict_json import parse_strict
from mmar_runner.documents.words import printable
from mmar_runner.errors import SignatureError, StorageError
from mmar_runner.orders.order import SKEW
from mmar_runner.storage.atomic import translated, write_json_atomic

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.orders.order import Order

#: Orders that may be good at once, of one administrator and of all; whoever gives more waits
#: until some are too old.
_OF_ONE: Final = 2_000
_MOST: Final = 10_000
#: The most bytes of the file: as many orders, each with the longest address.
_LIMIT: Final = 8 << 20


@dataclass(frozen=True, slots=True)
class _Noted:
    """Whose an order was, and until when it is good."""

    user: str
    until: datetime


class OrderMemory:
    """Remembers orders for as long as they are good. Blocks; one thread at a time.

    Args:
        path: Where they are kept; None forgets them with the process.

    Raises:
        StorageError: What an earlier process kept cannot be read, or is damaged.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._seen: dict[str, _Noted] = {} if path is None else _read(path)

    def note(self, order: Order, *, now: datetime) -> None:
        """Remember an order, also on the disk, before it is carried out.

        Raises:
            SignatureError: ORDER_REPLAYED, it was carried out before, or ORDER_FLOOD.
            StorageError: It cannot be kept.
        """
        self._seen = {key: noted for key, noted in self._seen.items() if now <= noted.until + SKEW}
        if order.id in self._seen:
            msg = f"the order {printable(order.command)} of {order.user} was carried out before"
            raise SignatureError(msg, reason="ORDER_REPLAYED", hint="order it anew")
        own = sum(noted.user == order.user for noted in self._seen.values())
        if own >= _OF_ONE or len(self._seen) >= _MOST:
            msg = f"{own} orders of {order.user} are remembered already, {len(self._seen)} of all"
            raise SignatureError(msg, reason="ORDER_FLOOD", hint="try again in some minutes")
        self._seen[order.id] = _Noted(order.user, order.expires)
        if self._path is not None:
            kept = {key: _json(one) for key, one in self._seen.items()}
            write_json_atomic(self._path, kept, durable=True)


def _read(path: Path) -> dict[str, _Noted]:
    with translated(path):
        if not path.exists():
            return {}
        data = path.read_bytes()
    try:
        kept = parse_strict(data, limit=_LIMIT)
        seen = {key: _Noted(one["user"], _time(one["until"])) for key, one in kept.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        hint = "remove it once no order is good any more: five minutes, and those of queued runs"
        raise StorageError(f"{path} is damaged: {error}", hint=hint) from error
    return seen


def _json(noted: _Noted) -> dict[str, Any]:
    return {"user": noted.user, "until": noted.until.isoformat()}


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("has a time without a time zone")
    return at
