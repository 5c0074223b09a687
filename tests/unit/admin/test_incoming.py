# SPDX-License-Identifier: Apache-2.0
"""Packages on their way: resumed, limited, and gone when they are too old or in the way."""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from mmar_runner.admin.files.incoming import (
    KEEP_SECONDS,
    PACKAGES_OF_ONE,
    SPARE_BYTES,
    IncomingPackages,
)
from mmar_runner.errors import DigestError, DiskFullError, ProtocolError, RefusedError

DATA = os.urandom(3000)
DIGEST = sha256(DATA).hexdigest()
ANN, BOB = "ann@a.org", "bob@b.org"


def digest(number: int) -> str:
    return sha256(str(number).encode()).hexdigest()


def test_what_arrived_stays_and_is_gone_on_with(tmp_path: Path) -> None:
    incoming = IncomingPackages(tmp_path)
    first = incoming.begin(DIGEST, ANN, len(DATA))
    first.write([DATA[:1000], DATA[1000:1500]])
    incoming.ended(first)

    again = IncomingPackages(tmp_path).begin(DIGEST, ANN, len(DATA))

    assert again.offset == 1500
    again.write([DATA[1500:]])
    again.check()
    assert again.path.read_bytes() == DATA
    again.remove()
    assert list(tmp_path.iterdir()) == []


def test_another_user_begins_anew(tmp_path: Path) -> None:
    incoming = IncomingPackages(tmp_path)
    incoming.begin(DIGEST, ANN, len(DATA)).write([DATA[:1000]])
    assert incoming.begin(DIGEST, BOB, len(DATA)).offset == 0


def test_more_than_was_announced_is_no_beginning(tmp_path: Path) -> None:
    incoming = IncomingPackages(tmp_path)
    first = incoming.begin(DIGEST, ANN, len(DATA))
    first.write([DATA])
    incoming.ended(first)
    assert incoming.begin(DIGEST, ANN, 100).offset == 0


def test_other_bytes_are_refused(tmp_path: Path) -> None:
    package = IncomingPackages(tmp_path).begin(DIGEST, ANN, len(DATA))
    package.write([bytes(len(DATA))])
    with pytest.raises(DigestError, match="damaged"):
        package.check()


def test_fewer_and_more_bytes_are_refused(tmp_path: Path) -> None:
    package = IncomingPackages(tmp_path).begin(DIGEST, ANN, len(DATA))
    package.write([DATA[:10]])
    with pytest.raises(ProtocolError, match="10 arrived"):
        package.check()
    with pytest.raises(ProtocolError, match="more arrived"):
        package.write([DATA])


def test_what_is_a_day_old_is_removed(tmp_path: Path) -> None:
    incoming = IncomingPackages(tmp_path)
    package = incoming.begin(DIGEST, ANN, len(DATA))
    package.write([DATA[:10]])
    incoming.ended(package)
    later = package.path.stat().st_mtime + KEEP_SECONDS + 1
    IncomingPackages(tmp_path, clock=lambda: later - 2).sweep()
    assert package.path.exists()
    IncomingPackages(tmp_path, clock=lambda: later).sweep()
    assert not package.path.exists()


def test_one_who_begins_many_loses_the_oldest(tmp_path: Path) -> None:
    incoming = IncomingPackages(tmp_path)
    for number in range(PACKAGES_OF_ONE):
        package = incoming.begin(digest(number), ANN, 100)
        incoming.ended(package)
        os.utime(package.path, (number, 2e9 + number))
    incoming.ended(incoming.begin(digest(99), BOB, 100))

    incoming.begin(digest(50), ANN, 100)

    names = {path.name[:64] for path in tmp_path.iterdir()}
    assert digest(0) not in names
    assert {digest(1), digest(50), digest(99)} <= names


def test_one_who_sends_too_many_at_once_is_refused(tmp_path: Path) -> None:
    incoming = IncomingPackages(tmp_path)
    for number in range(PACKAGES_OF_ONE):
        incoming.begin(digest(number), ANN, 100)
    with pytest.raises(RefusedError) as caught:
        incoming.begin(digest(50), ANN, 100)
    assert caught.value.reason == "TOO_MANY_UPLOADS"
    incoming.begin(digest(50), BOB, 100)


def left_of(capacity: int) -> Callable[[Path], int]:
    """Return what tells how much of a disk of some bytes is free."""
    return lambda folder: capacity - sum(one.stat().st_size for one in folder.glob("*.part"))


def test_what_rests_makes_room_for_what_comes_and_goes_for_nothing_else(tmp_path: Path) -> None:
    incoming = IncomingPackages(tmp_path, free=left_of(SPARE_BYTES + 300))
    older, newer = (incoming.begin(digest(number), BOB, 100) for number in (0, 1))
    for number, package in enumerate((older, newer)):
        package.write([bytes(50)])
        incoming.ended(package)
        os.utime(package.path, (number, 2e9 + number))

    with pytest.raises(DiskFullError) as caught:  # it would not fit without them either
        incoming.begin(digest(2), ANN, 101)
    assert str(SPARE_BYTES + 303) in caught.value.message
    assert older.path.exists()
    assert newer.path.exists()

    incoming.begin(digest(2), ANN, 80)
    assert not older.path.exists()
    assert newer.path.exists()
    incoming.begin(digest(3), ANN, 100)
    assert not newer.path.exists()


def test_many_at_once_leave_what_uploads_leave_to_others(tmp_path: Path) -> None:
    incoming = IncomingPackages(tmp_path, free=left_of(SPARE_BYTES + 300))
    first, second, third = (incoming.begin(digest(n), ANN, 100) for n in range(3))
    filling = IncomingPackages(tmp_path, free=left_of(SPARE_BYTES + 150)).begin(digest(9), BOB, 50)
    for package in (first, second, third):
        package.write([bytes(50)])
    with pytest.raises(DiskFullError):
        filling.write([bytes(1)])
    first.remove()
    filling.write([bytes(1)])
