# SPDX-License-Identifier: Apache-2.0
"""The harness can fail: each kind of finding, planted."""

from __future__ import annotations

import pytest

from mmar_runner.errors import FormatError, StorageError
from tests.fuzz import target as harness
from tests.fuzz.target import FindingError, Target, scratch


def _target(run):
    return Target("planted", run, "nothing")


def _raise(error):
    def run(_data):
        raise error

    return run


def test_an_error_of_ours_is_an_answer() -> None:
    _target(_raise(FormatError("the file is none", hint="get another")))(b"")


@pytest.mark.parametrize("error", [KeyError("id"), RecursionError(), OSError(), MemoryError()])
def test_any_other_exception_is_a_finding(error) -> None:
    with pytest.raises(type(error)):
        _target(_raise(error))(b"")


@pytest.mark.parametrize(
    "error", [StorageError("half a pair: \ud800"), StorageError("x", reason="any words")]
)
def test_an_error_that_cannot_be_shown_is_a_finding(error) -> None:
    with pytest.raises(FindingError):
        _target(_raise(error))(b"")


def test_an_answer_that_takes_too_long_is_a_finding(monkeypatch) -> None:
    monkeypatch.setattr(harness, "MOST_SECONDS", -1.0)

    with pytest.raises(FindingError, match="took"):
        _target(lambda _: None)(b"")


def test_a_file_beside_the_folder_is_a_finding() -> None:
    def run(data):
        with scratch() as folder:
            (folder / ".." / "beside").write_bytes(data)

    with pytest.raises(FindingError, match="beside"):
        _target(run)(b"x")
