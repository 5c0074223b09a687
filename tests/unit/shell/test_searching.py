# SPDX-License-Identifier: Apache-2.0
"""``grep``: a fixed text, letter by letter."""

import time

import pytest

from mmar_runner.errors import UsageError
from mmar_runner.shell.command import USAGES, shell_command
from mmar_runner.shell.limits import OUTPUT_BYTES, PIECE_BYTES


@pytest.fixture
def log(root):
    (root / "log").write_text("Round 1: ok\nround 2: (a+)+$ .*\n\nSTRASSE größe\nround 3")


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["round"], "round 2: (a+)+$ .*\nround 3\n"),
        (["-n", "round"], "2:round 2: (a+)+$ .*\n5:round 3\n"),
        (["-b", "round"], "12:round 2: (a+)+$ .*\n48:round 3\n"),
        (["-nb", "round 3"], "5:48:round 3\n"),
        (["-i", "ROUND 1"], "Round 1: ok\n"),
        (["-in", "straße GRÖSSE"], "4:STRASSE größe\n"),
        (["-in", "STRABE"], ""),
        (["-in", "straße GRÖßE"], "4:STRASSE größe\n"),
        (["(a+)+$"], "round 2: (a+)+$ .*\n"),
        ([".*"], "round 2: (a+)+$ .*\n"),
        (["^round"], ""),
        (["--", "-x"], ""),
        (["\n"], "Round 1: ok\nround 2: (a+)+$ .*\n\nSTRASSE größe\n"),
    ],
)
def test_the_lines_that_hold_a_text(say, log, words, shown):
    assert say("grep", *words, "log") == shown


def test_bytes_that_are_no_text_are_searched_too(say, root):
    (root / "bytes").write_bytes(b"a\xffB\n")
    assert say("grep", "-i", "b", "bytes") == say("grep", "B", "bytes") == "a\\xffB\n"


def test_an_expression_that_explodes_is_a_text(root):
    (root / "bait").write_text("a" * 50_000 + "!\n")
    begun = time.process_time()
    assert shell_command(["grep", "-i", "(a*)*b", "bait"], root, USAGES).text == ""
    assert time.process_time() - begun < 5


def test_of_a_line_the_beginning_is_looked_at(say, root):
    (root / "wide").write_text("x" * PIECE_BYTES + "late\nearly late\n")
    assert say("grep", "-nb", "late", "wide") == f"2:{PIECE_BYTES + 5}:early late\n"


def test_many_lines_are_cut(root):
    (root / "long").write_text("hit hit hit hit\n" * 30_000)
    output = shell_command(["grep", "-n", "hit", "long"], root, USAGES)
    assert output.truncated
    assert len(output.text) <= OUTPUT_BYTES
    assert output.text.startswith("1:hit hit hit hit\n2:")


def test_no_file_of_patterns_is_taken(say, root):
    with pytest.raises(UsageError, match="unknown option '-f'") as caught:
        say("grep", "-f", "summary.json", "log")
    assert caught.value.hint == "usage: grep [-n -i -b] TEXT FILE"
