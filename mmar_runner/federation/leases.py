# SPDX-License-Identifier: Apache-2.0
"""A lease: for how long a client is believed to be alive that nothing is heard of."""

from __future__ import annotations

from typing import Final

#: Heartbeats in the time of one lease, so that two of them may be lost.
HEARTBEATS_A_LEASE: Final = 3
