# SPDX-License-Identifier: Apache-2.0
"""Shamir's secret sharing (Shamir 1979, Communications of the ACM 22) of 32-byte secrets.

The field is that of the smallest prime above 2**256, so that every secret is an element of it.
Any `threshold` shares give the secret, fewer say nothing about it.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

#: The smallest prime above 2**256.
PRIME: Final = 2**256 + 297
#: Bytes of a secret, and of a share, which may be a little larger.
SECRET_BYTES: Final = 32
SHARE_BYTES: Final = 33


def split(secret: bytes, threshold: int, points: Sequence[int]) -> dict[int, bytes]:
    """Return one share for every point.

    Args:
        secret: 32 bytes.
        threshold: How many shares give the secret, at least 1.
        points: Where the polynomial is evaluated: distinct, above 0.

    Raises:
        ValueError: The secret, the threshold or the points cannot be used.
    """
    if len(secret) != SECRET_BYTES:
        raise ValueError(f"a secret has {SECRET_BYTES} bytes, not {len(secret)}")
    if not 1 <= threshold <= len(points):
        raise ValueError(f"threshold {threshold} for {len(points)} shares")
    _require_points(points)
    polynomial = [int.from_bytes(secret, "big")]
    polynomial += [secrets.randbelow(PRIME) for _ in range(threshold - 1)]
    return {point: _evaluated(polynomial, point).to_bytes(SHARE_BYTES, "big") for point in points}


def join(shares: Mapping[int, bytes], threshold: int) -> bytes:
    """Return the secret that shares stand for; more than `threshold` of them are not looked at.

    Args:
        shares: By point.
        threshold: As it was when the secret was split.

    Raises:
        ValueError: They are too few, or stand for no secret of 32 bytes.
    """
    if len(shares) < threshold:
        raise ValueError(f"{len(shares)} shares, and {threshold} are needed")
    points = tuple(sorted(shares)[:threshold])
    _require_points(points)
    total = 0
    for point, factor in zip(points, _factors(points), strict=True):
        total += factor * _element(shares[point])
    secret = total % PRIME
    if secret >= 1 << (8 * SECRET_BYTES):
        raise ValueError("the shares stand for no secret: one of them is not as it was made")
    return secret.to_bytes(SECRET_BYTES, "big")


def _evaluated(polynomial: Sequence[int], point: int) -> int:
    value = 0
    for coefficient in reversed(polynomial):
        value = (value * point + coefficient) % PRIME
    return value


@lru_cache(maxsize=64)
def _factors(points: tuple[int, ...]) -> tuple[int, ...]:
    """Return Lagrange's factors at 0: many secrets are joined at the same points."""
    factors = []
    for point in points:
        above, below = 1, 1
        for other in points:
            if other != point:
                above = above * other % PRIME
                below = below * (other - point) % PRIME
        factors.append(above * pow(below, -1, PRIME) % PRIME)
    return tuple(factors)


def _element(share: bytes) -> int:
    value = int.from_bytes(share, "big")
    if len(share) != SHARE_BYTES or value >= PRIME:
        raise ValueError("a share is no element of the field")
    return value


def _require_points(points: Sequence[int]) -> None:
    if len(set(points)) != len(points) or not all(0 < point < PRIME for point in points):
        raise ValueError("points are distinct and above 0")
