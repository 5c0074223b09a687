# SPDX-License-Identifier: Apache-2.0
"""What the redaction level `values` takes out of what leaves a site."""

from __future__ import annotations

import re
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmar_runner.security.hidden_values import HIDDEN, without_values
from mmar_runner.security.redaction import LINE_LETTERS, LOG_BYTES, LOG_LINES, bounded

NOWHERE = Path("/nowhere/mmar")


def hidden(line: str, root: Path = NOWHERE) -> str:
    (found,) = without_values([line], root)
    return found


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("patient 4711 weighs 81.5 kg", "patient <...> weighs <...> kg"),
        ("KeyError: 'Hans Mueller'", "KeyError: <...>"),
        ("ValueError: no scan of Hans 'O'Brien' today", "<...>"),
        ("b'Hans', b'Karl' came", "b<...> came"),
        ("say \"O'Hans Mueller", "<...>"),
        ("it can't be read", "it cant be read"),
        ("read /data/Hans Mueller/ct.dcm now", "read <...> now"),
        ("read /data/Hans Karl Mueller/x then b/c and more", "read <...> and more"),
        (r"read C:\Users\hans\x", "read <...>"),
        ("wrote mueller_hans.nii.gz", "wrote <...>"),
        ("mail hans.mueller@clinic.example now", "mail <...> now"),
        ("key deadbeefcafe left", "key <...> left"),
        ("host 10.0.0.17:8002 and fe80::1 and abcd::ef", "host <...> and <...> and <...>"),
        ("born 1970-01-31, no. MRN4711", "born <...> no. <...>"),
        (
            "ids \uff14\uff17\uff11\uff11 and \u0664\u0667\u0661 and \u4e09",
            "ids <...> and <...> and <...>",
        ),
        ("hans\uff20clinic", "<...>"),
        (
            "torch.OutOfMemoryError: out of memory",
            "torch.OutOfMemoryError: out of memory",
        ),
        ("expected float32, got torch.int64", "expected float32, got torch.int64"),
    ],
)
def test_a_value_is_hidden_and_its_words_stay(line: str, left: str) -> None:
    assert hidden(line) == left


def test_a_place_in_the_code_of_the_mmar_stays_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "custom").mkdir()
    (tmp_path / "custom" / "mine.py").write_text("\n" * 300)
    frame = f'  File "{tmp_path}/custom/mine.py", line 123, in train'
    assert hidden(frame, tmp_path) == '  File "custom/mine.py", line 123, in train'
    place = "the trainer Mine (custom/mine.py:300) raised KeyError: 4711"
    left = "the trainer Mine (custom/mine.py:300) raised KeyError: <...>"
    assert hidden(place, tmp_path) == left
    # What only looks like a place may be a number of somebody's.
    for line in (
        frame.replace("123", "4711"),
        frame.replace("mine.py", "hans.py"),
        frame.replace("/custom/", "/../custom/"),
        '  File "/usr/lib/python3/json.py", line 123, in loads',
        "custom/mine.py:4711",
    ):
        assert not re.search(r"\d{3}|hans|/", hidden(line, tmp_path)), line


def test_a_quoted_text_of_several_lines_is_hidden_with_all_of_them() -> None:
    lines = ['said "Hans', "Mueller, of Bern", 'is ill" again', "then it ended"]
    assert without_values(lines, NOWHERE) == [HIDDEN, HIDDEN, HIDDEN, "then it ended"]


def test_a_frame_ends_a_quote_that_nobody_ended(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("\n" * 3)
    lines = ['said "Hans', "Mueller", f'File "{tmp_path}/mine.py", line 2, in f', "boom"]
    left = [HIDDEN, HIDDEN, 'File "mine.py", line 2, in f', "boom"]
    assert without_values(lines, tmp_path) == left


def test_a_word_that_the_length_cuts_in_two_does_not_stay() -> None:
    line = "x " * (LINE_LETTERS // 2 - 2) + "hans@clinic.example"
    assert "hans" not in hidden(line)
    assert hidden("h" * 2000) == ""


@given(st.lists(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("'\"`@/\\ 0123:.")))))
def test_no_value_is_left(lines: list[str]) -> None:
    left = without_values(lines, NOWHERE)
    assert len(left) == len(lines)
    for line in left:
        text = unicodedata.normalize("NFKC", line)
        assert not re.search(r"\d", text)
        assert not re.search(r"[\"'`@/\\]", text)
        assert line.isprintable()
    assert without_values(left, NOWHERE) == left


@given(st.text(st.characters(categories=["L", "Zs"]), max_size=20), st.sampled_from("'\"`"))
def test_what_stands_in_quotes_does_not_stay(secret: str, quote: str) -> None:
    (left,) = without_values([f"say {quote}{secret}{quote} twice"], NOWHERE)
    assert left == "say <...> twice"


@pytest.mark.parametrize("letter", ["a", "1", "'", "/", "@", ".", ":", "a.", "::"])
def test_hiding_takes_time_in_proportion(letter: str) -> None:
    lines = [letter * 1000] * 64
    begun = time.monotonic()
    without_values(lines, NOWHERE)
    assert time.monotonic() - begun < 5


@given(st.lists(st.text(), max_size=60), st.text(max_size=5000))
def test_what_leaves_is_bounded(lines: list[str], long: str) -> None:
    kept = bounded([*lines, *([long] * 20)])
    assert len(kept) <= LOG_LINES
    assert sum(len(line.encode()) + 1 for line in kept) <= LOG_BYTES
    assert all(line.isprintable() and len(line) <= LINE_LETTERS for line in kept)


def test_the_last_lines_are_kept() -> None:
    assert bounded(map(str, range(100))) == tuple(map(str, range(60, 100)))
    assert bounded(["early", "\x1b[31mred\u202e"]) == ("early", " [31mred")
    assert bounded(["x" * 1500])[0].endswith("x ...")
