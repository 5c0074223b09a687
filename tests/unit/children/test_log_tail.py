# SPDX-License-Identifier: Apache-2.0
"""What a child has logged since a moment, read from its log."""

import os
from pathlib import Path

from mmar_runner.children.log_tail import lines_since, log_end


def test_lines_begin_at_the_moment(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert (log_end(log), lines_since(log, 0)) == (0, ())
    log.write_bytes(b"before\n")
    begin = log_end(log)
    with log.open("ab") as more:
        more.write(b"after\nbad \xff byte\nno end")
    assert lines_since(log, begin) == ("after", "bad \ufffd byte", "no end")


def test_of_a_long_log_whole_lines_of_the_end_are_read(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"{number:09}\n" for number in range(100_000)))
    lines = lines_since(log, 0)
    assert lines[-1] == f"{99_999:09}"
    assert len(lines) < 7000
    assert {len(line) for line in lines} == {9}


def test_a_log_that_was_made_shorter_or_is_no_file_has_no_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("short\n")
    assert lines_since(log, 1000) == ()
    (tmp_path / "link").symlink_to(log)
    assert lines_since(log, 0) == ("short",)
    assert lines_since(tmp_path / "link", 0) == ()
    os.mkfifo(tmp_path / "pipe")
    assert lines_since(tmp_path / "pipe", 0) == ()
