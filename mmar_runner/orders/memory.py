# SPDX-License-Identifier: Apache-2.0
"""Which orders were carried out already: the same one counts once, also after a restart."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import SignatureError
from mmar_runner.orders.order import SKEW
from mmar_runner.storage.atomic import write_json_atomic

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.orders.order import Order

#: Orders that may be good at once; whoever sends more waits until some are too old.
_MOST: Final = 10_000


class OrderMemory:
    """Remembers orders for as long as they are good. Blocks; one thread at a time.

    Args:
        path: Where they are kept; None forgets them with the process.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._seen: dict[str, datetime] = {}
        if path is not None:
            with suppress(FileNotFoundError):
                kept = json.loads(path.read_bytes())
                self._seen = {key: datetime.fromisoformat(at) for key, at in kept.items()}

    def note(self, order: Order, *, now: datetime) -> None:
        """Remember an order before it is carried out.

        Raises:
            SignatureError: ORDER_REPLAYED, it was carried out before, or ORDER_FLOOD.
            StorageError: It cannot be kept.
        """
        self._seen = {key: until for key, until in self._seen.items() if now <= until + SKEW}
        if order.id in self._seen:
            msg = f"the order {order.command} of {order.user} was carried out before"
            raise SignatureError(msg, reason="ORDER_REPLAYED", hint="order it anew")
        if len(self._seen) >= _MOST:
            msg = f"{_MOST} orders are remembered already"
            raise SignatureError(msg, reason="ORDER_FLOOD", hint="try again in some minutes")
        self._seen[order.id] = order.expires
        if self._path is not None:
            write_json_atomic(self._path, {k: at.isoformat() for k, at in self._seen.items()})
