# SPDX-License-Identifier: Apache-2.0
"""A file of this machine that an answer is written into, and what is no such file."""

import os

import pytest

from mmar_runner.console.redirected import redirected
from mmar_runner.console.typed_line import Redirect
from mmar_runner.errors import StorageError, UsageError


def write(path, text, *, append=False):
    with redirected(Redirect(str(path), append=append)) as file:
        file.write(text)


def test_it_is_replaced_or_added_to(tmp_path):
    path = tmp_path / "out"
    write(path, "a longer text\n")
    write(path, "one\n")
    write(path, "two\n", append=True)
    assert path.read_text() == "one\ntwo\n"


def make_link(path):
    path.symlink_to(path.parent / "other")
    (path.parent / "other").write_text("kept")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, make_link])
def test_what_is_no_regular_file_is_left_alone(tmp_path, make):
    path = tmp_path / "out"
    make(path)
    with pytest.raises(UsageError, match="no regular file") as caught:
        write(path, "text")
    assert "nothing was ordered" in caught.value.hint
    if make is make_link:
        assert (tmp_path / "other").read_text() == "kept"


def test_a_device_is_left_alone():
    with pytest.raises(UsageError, match="no regular file"):
        write("/dev/null", "text")


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StorageError, match="nowhere"):
        write(tmp_path / "nowhere" / "out", "text")
