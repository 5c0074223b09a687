# SPDX-License-Identifier: Apache-2.0
"""Models for sessions."""

from __future__ import annotations

MIB = 1 << 20


def model(mib, seed=1):
    return bytes((index * seed) % 251 for index in range(1021)) * (mib * MIB // 1021 + 1)
