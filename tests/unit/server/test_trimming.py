# SPDX-License-Identifier: Apache-2.0
"""When freed memory is given back: when there is much of it, and not all the time."""

from __future__ import annotations

import pytest

from mmar_runner.server.trimming import Trimmer

MIB = 1 << 20


class Process:
    """A process of so many bytes, of which some are in use."""

    def __init__(self) -> None:
        self.size = self.used = 80 * MIB
        self.time = 0.0
        self.trims = 0

    def trim(self) -> None:
        self.size = self.used
        self.trims += 1


@pytest.fixture
def process() -> Process:
    return Process()


@pytest.fixture
def trimmer(process: Process) -> Trimmer:
    return Trimmer(lambda: process.size, process.trim, lambda: process.time)


def test_what_a_crowd_left_is_given_back(process: Process, trimmer: Trimmer) -> None:
    process.size = 168 * MIB
    trimmer.look()
    assert (process.size, process.trims) == (80 * MIB, 1)


def test_a_little_is_not_worth_it(process: Process, trimmer: Trimmer) -> None:
    process.size = 100 * MIB
    trimmer.look()
    assert process.trims == 0


def test_what_is_in_use_is_not_looked_for_again_and_again(
    process: Process, trimmer: Trimmer
) -> None:
    process.size = process.used = 300 * MIB
    for _ in range(5):
        process.time += 2
        trimmer.look()
    assert process.trims == 1


def test_what_was_in_use_at_the_last_trim_is_given_back_later(
    process: Process, trimmer: Trimmer
) -> None:
    process.size = process.used = 140 * MIB
    trimmer.look()
    process.used = 90 * MIB
    process.time = 31
    trimmer.look()
    assert process.size == 90 * MIB


def test_a_process_that_takes_long_to_trim_is_trimmed_less_often(
    process: Process, trimmer: Trimmer
) -> None:
    def slowly() -> None:
        process.time += 1  # so long nothing else happened
        process.trims += 1

    process.trim = slowly  # type: ignore[method-assign]
    trimmer = Trimmer(lambda: process.size, process.trim, lambda: process.time)
    process.size = 300 * MIB
    trimmer.look()
    for _ in range(20):
        process.time += 2
        process.size += 10 * MIB
        trimmer.look()
    assert process.trims == 1
    process.time += 20
    trimmer.look()
    assert process.trims == 2
