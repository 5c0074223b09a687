# SPDX-License-Identifier: Apache-2.0
"""Clients measure the results that a server with a validator measures, and one more."""

from __future__ import annotations

import pytest

from mmar_runner.federation.validated_rounds import is_validated


@pytest.mark.parametrize("every", [0, 1])
def test_each_round_unless_the_server_says_otherwise(every):
    assert all(is_validated(number, every, num_rounds=4) for number in range(4))


@pytest.mark.parametrize(
    ("every", "rounds", "expected"),
    [(2, 6, [0, 2, 4, 5]), (3, 7, [0, 3, 6]), (4, 3, [0, 2]), (5, -1, [0, 5, 10, 15])],
)
def test_every_so_many_rounds_and_the_last(every, rounds, expected):
    found = [
        n for n in range(rounds if rounds > 0 else 20) if is_validated(n, every, num_rounds=rounds)
    ]
    assert found == expected


def test_what_is_measured_is_what_the_server_measures():
    """The server measures the result of round k if k + 1 is a multiple; clients receive it next."""
    of_server = {number for number in range(20) if (number + 1) % 3 == 0}
    of_clients = {number - 1 for number in range(1, 20) if is_validated(number, 3, num_rounds=-1)}
    assert of_clients == of_server & set(range(19))
