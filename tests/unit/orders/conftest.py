# SPDX-License-Identifier: Apache-2.0
"""Administrators who sign orders, and whoever opens them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mmar_runner.orders.order import ORDER_TYPE, Order, new_order, opened
from mmar_runner.security.pki.envelope import key_id, sign
from mmar_runner.security.pki.keys import new_release_key, public_pem
from mmar_runner.security.pki.revocation import RevocationList
from mmar_runner.security.pki.trust_root import ReleaseKey, TrustRoot

PROJECT = "heart"
LEAD, BOB = "lead@a.org", "bob@b.org"
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


@dataclass
class Office:
    """Keys of two administrators, and what opens their orders."""

    keys: dict[str, Any]
    root: TrustRoot
    revoked: tuple[str, ...] = ()
    now: datetime = NOW

    def order(self, *words: str, user: str = LEAD, **facts: Any) -> Order:
        return new_order(PROJECT, user, words or ("check_status", "server"), now=self.now, **facts)

    def raw(self, key: Any = None, kind: str = ORDER_TYPE, **changes: Any) -> bytes:
        """Sign any payload as if it were an order."""
        value = {
            "type": "order",
            "project": PROJECT,
            "user": LEAD,
            "words": ["check_status", "server"],
            "id": "0" * 32,
            "issued": NOW.isoformat(),
            "expires": (NOW + timedelta(minutes=5)).isoformat(),
        }
        value |= changes
        data = json.dumps({k: v for k, v in value.items() if v is not None}).encode()
        return sign(kind, data, [key or self.keys[LEAD]]).to_json()

    def open(self, data: bytes, *, after: timedelta = timedelta()) -> Order:
        revocations = RevocationList(PROJECT, 1, NOW, NOW + timedelta(days=9), (), self.revoked)
        return opened(data, self.root, revocations, now=self.now + after)


@pytest.fixture
def office() -> Office:
    keys = {user: new_release_key() for user in (LEAD, BOB)}
    known = tuple(
        ReleaseKey(key_id(key.public_key()), public_pem(key.public_key()).decode(), user, user[-5:])
        for user, key in keys.items()
    )
    return Office(keys, TrustRoot(PROJECT, "0" * 64, known))
