# SPDX-License-Identifier: Apache-2.0
"""Shamir's sharing: any threshold of shares gives the secret, fewer or other ones do not."""

import itertools
import os

import pytest

from mmar_runner_secagg.secrets_shared import PRIME, SECRET_BYTES, join, split

SECRETS = [bytes(32), b"\xff" * 32, os.urandom(32)]


def is_prime(number):
    """Miller and Rabin, to enough bases that chance plays no part worth speaking of."""
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in range(2, 60):
        value = pow(base, odd, number)
        if value in {1, number - 1}:
            continue
        for _ in range(twos - 1):
            value = value * value % number
            if value == number - 1:
                break
        else:
            return False
    return True


def test_the_field_is_that_of_the_smallest_prime_that_holds_every_secret():
    assert is_prime(PRIME)
    assert not any(is_prime(number) for number in range(1 << 256, PRIME))


@pytest.mark.parametrize("secret", SECRETS, ids=["zeros", "ones", "random"])
def test_any_threshold_of_shares_gives_the_secret(secret):
    shares = split(secret, 3, [1, 2, 5, 9, 70])
    for points in itertools.combinations(shares, 3):
        assert join({point: shares[point] for point in points}, 3) == secret


def test_too_few_shares_are_refused():
    shares = split(SECRETS[2], 3, [1, 2, 3])
    with pytest.raises(ValueError, match="2 shares, and 3 are needed"):
        join({1: shares[1], 2: shares[2]}, 3)


def test_fewer_shares_say_nothing():
    """Whatever the secret: with one share less than needed every value is as likely.

    Two secrets that differ have polynomials through the same two points.
    """
    shares = {1: os.urandom(32).rjust(33, b"\0"), 2: os.urandom(32).rjust(33, b"\0")}
    secrets = set()
    for last in range(20):
        try:
            secrets.add(join({**shares, 3: last.to_bytes(33, "big")}, 3))
        except ValueError:  # one of 2**247 stands for no 32 bytes
            continue
    assert len(secrets) > 1


def test_a_share_that_was_changed_gives_another_secret_or_none():
    shares = split(SECRETS[2], 2, [1, 2])
    shares[2] = (int.from_bytes(shares[2], "big") ^ 1).to_bytes(33, "big")
    try:
        assert join(shares, 2) != SECRETS[2]
    except ValueError as error:
        assert "not as it was made" in str(error)


@pytest.mark.parametrize(
    ("secret", "threshold", "points"),
    [
        (b"short", 1, [1]),
        (bytes(SECRET_BYTES), 3, [1, 2]),
        (bytes(SECRET_BYTES), 0, [1, 2]),
        (bytes(SECRET_BYTES), 2, [1, 1]),
        (bytes(SECRET_BYTES), 2, [0, 1]),
    ],
)
def test_what_cannot_be_shared_is_refused(secret, threshold, points):
    with pytest.raises(ValueError, match=r"secret|threshold|points"):
        split(secret, threshold, points)


@pytest.mark.parametrize("share", [b"\xff" * 33, b"\0" * 32])
def test_what_is_no_share_is_refused(share):
    with pytest.raises(ValueError, match="no element of the field"):
        join({1: share}, 1)
