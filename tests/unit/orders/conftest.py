# SPDX-License-Identifier: Apache-2.0
"""Administrators who sign orders."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mmar_runner.orders.order import Order, new_order, signed
from mmar_runner.security.pki.envelope import key_id
from mmar_runner.security.pki.keys import new_release_key, public_pem
from mmar_runner.security.pki.revocation import RevocationList
from mmar_runner.security.pki.trust_root import ReleaseKey, TrustRoot

PROJECT = "heart"
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
