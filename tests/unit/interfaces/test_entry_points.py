# SPDX-License-Identifier: Apache-2.0
"""Commands as they are declared: split as a shell splits, and nothing expanded."""

from __future__ import annotations

import pytest

from mmar_runner.interfaces.entry_points import EntryPoint, entry_points, split_command

TAKES = ("startup", "train")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("python train.py", ("python", "train.py")),
        ("sh -c 'a && b > $HOME/*'", ("sh", "-c", "a && b > $HOME/*")),
        ('say "two  words" \\$x', ("say", "two  words", "$x")),
        (["python", "a b.py", ""], ("python", "a b.py", "")),
    ],
)
def test_a_command_is_words(command, words):
    assert split_command(command) == words


@pytest.mark.parametrize("command", ["'open", "", "   ", [], ["", "x"], ["a\0b"], "a\0b"])
def test_what_names_no_program_is_refused(command):
    with pytest.raises(ValueError, match=r"cannot be split|names no program|null character"):
        split_command(command)


def test_arguments_count_before_the_file_key_by_key():
    in_file = {"train": {"command": "python train.py", "seconds": 5}, "startup": None}
    found = entry_points(TAKES, {"train": {"seconds": 9}, "startup": None}, in_file)
    assert found == {"train": EntryPoint("train", ("python", "train.py"), 9.0, None)}
    instead = {"train": {"command": ["./run"], "memory_bytes": 10}}
    assert entry_points(TAKES, instead, in_file)["train"] == EntryPoint("train", ("./run",), 5, 10)


def test_what_nobody_takes_is_left_alone():
    assert entry_points(TAKES, {}, {"predict": {"command": "x"}, "build": {"command": "y"}}) == {}


def test_a_command_that_cannot_be_split_is_named():
    with pytest.raises(ValueError, match="the command of train cannot be split"):
        entry_points(TAKES, {"train": {"command": "'"}}, {})
