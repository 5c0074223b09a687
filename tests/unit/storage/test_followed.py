# SPDX-License-Identifier: Apache-2.0
"""A file that is looked at again when it changes; what is wrong with it is told once."""

import logging

import pytest

from mmar_runner.errors import SignatureError, StorageError
from mmar_runner.storage.followed import FollowedFile


@pytest.fixture
def path(tmp_path):
    return tmp_path / "list.json"


class Reader:
    """Takes a file's text, or raises what it is told to."""

    def __init__(self):
        self.fault = None
        self.looks = 0

    def __call__(self, path):
        self.looks += 1
        if self.fault is not None:
            raise self.fault
        return path.read_text()


def warnings(caplog):
    return [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]


def test_it_is_read_once_for_every_change(path):
    file, read = FollowedFile(path, "the list"), Reader()
    path.write_text("one")
    assert [file.changed(read) for _ in range(3)] == ["one", None, None]
    path.with_suffix(".new").write_text("two")
    path.with_suffix(".new").replace(path)
    assert [file.changed(read) for _ in range(2)] == ["two", None]
    assert read.looks == 2


@pytest.mark.parametrize(
    ("fault", "looks"),
    [(SignatureError("not the project's"), 1), (StorageError("no more files can be opened"), 3)],
)
def test_what_is_wrong_is_told_once_and_what_may_pass_is_tried_again(path, caplog, fault, looks):
    file, read = FollowedFile(path, "the list"), Reader()
    path.write_text("one")
    read.fault = fault
    assert [file.changed(read) for _ in range(3)] == [None] * 3
    assert read.looks == looks
    assert warnings(caplog) == [f"the list stays as it was: {fault.message}"]
    read.fault = None
    path.write_text("another")
    assert file.changed(read) == "another"


def test_a_file_that_is_gone_is_told_and_one_that_need_not_be_there_only_once_it_was(path, caplog):
    file, read = FollowedFile(path, "the policy", optional=True), Reader()
    assert file.changed(read) is None
    assert warnings(caplog) == []
    path.write_text("one")
    assert file.changed(read) == "one"
    path.unlink()
    assert [file.changed(read) for _ in range(2)] == [None, None]
    (told,) = warnings(caplog)
    assert told.startswith("the policy stays as it was: ")
    assert FollowedFile(path, "the list").changed(read) is None
    assert len(warnings(caplog)) == 2
