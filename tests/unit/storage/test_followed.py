# SPDX-License-Identifier: Apache-2.0
"""A file that is looked at again when it changes; what is wrong with it is told once."""

import logging

import pytest

from mmar_runner.errors import SignatureError, StorageError
from mmar_runner.storage.followed import FollowedFiles


@pytest.fixture
def path(tmp_path):
    return tmp_path / "list.json"


class Reader:
    """Takes a file's text, or raises what it is told to."""

    def __init__(self, path):
        self.path = path
        self.fault = None
        self.looks = 0

    def __call__(self):
        self.looks += 1
        if self.fault is not None:
            raise self.fault
        return self.path.read_text()


def warnings(caplog):
    return [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]


def test_it_is_read_once_for_every_change(path):
    file, read = FollowedFiles(path, what="the list"), Reader(path)
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
    file, read = FollowedFiles(path, what="the list"), Reader(path)
    path.write_text("one")
    read.fault = fault
    assert [file.changed(read) for _ in range(3)] == [None] * 3
    assert read.looks == looks
    assert warnings(caplog) == [f"the list stays as it was: {fault.message}"]
    read.fault = None
    path.write_text("another")
    assert file.unusable_seconds > 0.0
    assert file.changed(read) == "another"
    assert file.unusable_seconds == 0.0
    assert warnings(caplog)[1:] == [f"the list can be used again: {path}"]


def test_one_of_several_files_is_enough_and_what_is_new_is_told(path, caplog):
    other = path.with_name("other")
    files, read = FollowedFiles(path, other, what="the pair"), Reader(other)
    path.write_text("one")
    other.write_text("two")
    assert [files.changed(read, lambda text: f"it is {text}") for _ in range(2)] == ["two", None]
    other.write_text("three")
    read.fault = StorageError("busy")
    assert files.changed(read) is None
    read.fault = None
    assert files.changed(read, lambda text: f"it is {text}") == "three"
    assert warnings(caplog) == [
        f"it is two: {path}",
        "the pair stays as it was: busy",
        f"the pair can be used again, and it is three: {path}",
    ]


def test_what_is_there_as_it_was_is_well_again_without_being_read(path, caplog):
    file, read = FollowedFiles(path, what="the list"), Reader(path)
    path.write_text("one")
    assert file.changed(read) == "one"
    path.parent.chmod(0)
    try:
        assert file.changed(read) is None
    finally:
        path.parent.chmod(0o700)
    told = len(warnings(caplog))
    assert file.changed(read) is None
    assert (read.looks, len(warnings(caplog))) == (1, 2 * told)


def test_a_file_that_is_gone_is_told_and_one_that_need_not_be_there_only_once_it_was(path, caplog):
    file, read = FollowedFiles(path, what="the policy", optional=True), Reader(path)
    assert file.changed(read) is None
    assert warnings(caplog) == []
    path.write_text("one")
    assert file.changed(read) == "one"
    path.unlink()
    assert [file.changed(read) for _ in range(2)] == [None, None]
    (told,) = warnings(caplog)
    assert told.startswith("the policy stays as it was: ")
    assert FollowedFiles(path, what="the list").changed(read) is None
    assert len(warnings(caplog)) == 2
