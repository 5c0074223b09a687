# SPDX-License-Identifier: Apache-2.0
"""``cat``, ``head`` and ``tail``."""

import os

import pytest

from mmar_runner.errors import UsageError
from mmar_runner.shell import texts
from mmar_runner.shell.command import USAGES, shell_command
from mmar_runner.shell.limits import NOTE_BYTES, OUTPUT_BYTES

ROOM = OUTPUT_BYTES - NOTE_BYTES


@pytest.fixture
def lines(root):
    (root / "lines.txt").write_text("a\tb\n\n\n\nc\nlast")
    return root / "lines.txt"


def test_cat_shows_a_file_as_it_is(say, lines):
    assert say("cat", "lines.txt") == lines.read_text()


@pytest.mark.parametrize(
    ("flags", "shown"),
    [
        ("-n", "     1\ta\tb\n     2\t\n     3\t\n     4\t\n     5\tc\n     6\tlast"),
        ("-b", "     1\ta\tb\n\n\n\n     2\tc\n     3\tlast"),
        ("-nb", "     1\ta\tb\n\n\n\n     2\tc\n     3\tlast"),
        ("-s", "a\tb\n\nc\nlast"),
        ("-T", "a^Ib\n\n\n\nc\nlast"),
        ("-snT", "     1\ta^Ib\n     2\t\n     3\tc\n     4\tlast"),
    ],
)
def test_cat_with_options(say, lines, flags, shown):
    assert say("cat", flags, "lines.txt") == shown


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["head", "-n", "2"], "a\tb\n\n"),
        (["head", "-n0"], ""),
        (["head", "-n", "99"], "a\tb\n\n\n\nc\nlast"),
        (["head", "-c", "5"], "a\tb\n\n"),
        (["head", "-c", "2"], "a\t"),
        (["head", "-c0"], ""),
        (["head", "-c999999999"], "a\tb\n\n\n\nc\nlast"),
        (["tail", "-n", "2"], "c\nlast"),
        (["tail", "-n0"], ""),
        (["tail", "-n", "99"], "a\tb\n\n\n\nc\nlast"),
        (["tail", "-c", "6"], "c\nlast"),
        (["tail", "-c0"], ""),
        (["tail", "-c999999999"], "a\tb\n\n\n\nc\nlast"),
    ],
)
def test_the_two_ends_of_a_file(say, lines, words, shown):
    assert say(*words, "lines.txt") == shown


def test_ten_lines_if_nothing_is_said(say, root):
    (root / "many").write_text("".join(f"{n}\n" for n in range(30)))
    assert say("head", "many").split() == [str(n) for n in range(10)]
    assert say("tail", "many").split() == [str(n) for n in range(20, 30)]


def test_an_empty_first_line_is_one(say, root):
    (root / "blank").write_text("\na\nb")
    assert say("tail", "-n3", "blank") == "\na\nb"
    assert say("tail", "-n2", "blank") == "a\nb"


def test_half_a_letter_at_the_end_is_shown(say, root):
    (root / "half").write_bytes(b"ab\n\xe2\x82")
    for words in (["cat"], ["head"], ["tail"], ["head", "-c99"]):
        assert say(*words, "half") == "ab\n\\xe2\\x82"


@pytest.mark.parametrize("command", ["cat", "head", "tail"])
def test_an_empty_file_shows_nothing(root, command):
    (root / "empty").touch()
    output = shell_command([command, "empty"], root, USAGES)
    assert (output.text, output.truncated) == ("", False)


@pytest.mark.parametrize("command", ["cat", "head", "tail"])
def test_contents_that_a_terminal_would_obey_are_escaped(say, root, command):
    (root / "evil").write_bytes(b"a\x1b]0;x\x07\tb\r\n\xff\xe2\x80\xae\xc3\xbc\xe2\x82\nz")
    assert say(command, "evil") == "a\\x1b]0;x\\x07\tb\\r\n\\xff\\u202eü\\xe2\\x82\nz"


@pytest.mark.parametrize("words", [["cat"], ["cat", "-n"], ["head", "-n", "99999"]])
def test_a_long_output_is_cut_and_says_what_is_missing(root, words):
    (root / "long").write_text("0123456789abcde\n" * 20_000)
    output = shell_command([*words, "long"], root, USAGES)
    assert output.truncated
    assert len(output.text.encode()) <= OUTPUT_BYTES
    kept, _, note = output.text.rstrip("\n").rpartition("\n")
    assert note.startswith("[cut here: ")
    assert note.endswith(" bytes more were left out]")
    if "-n" not in words or words[0] == "head":
        assert int(note.split()[2]) == 320_000 - ROOM
        assert kept == ("0123456789abcde\n" * 20_000)[:ROOM].removesuffix("\n")


def test_tail_of_a_long_file_shows_its_end(root):
    (root / "long").write_text("0123456789abcde\n" * 20_000 + "end\n")
    output = shell_command(["tail", "-n", "99999", "long"], root, USAGES)
    assert output.truncated
    assert f"only the last {ROOM} bytes of 320004 were looked at" in output.text
    assert "\nend\n[" in output.text
    assert not shell_command(["tail", "-n", "9", "long"], root, USAGES).truncated
    assert shell_command(["tail", "-c", "300000", "long"], root, USAGES).truncated


def test_tail_keeps_the_end_of_what_grows_by_escapes(root):
    (root / "long").write_text("\x1b" * 200_000 + "\nend\n")
    output = shell_command(["tail", "long"], root, USAGES)
    assert output.truncated
    assert len(output.text) <= OUTPUT_BYTES
    left_out = 800_000 + len("\nend\n") - ROOM
    assert output.text.endswith(f"\\x1b\nend\n[the first {left_out} bytes of this were left out]\n")


@pytest.mark.parametrize("words", [["cat"], ["head", "-c999999"], ["tail", "-n1"], ["grep", "x"]])
def test_one_line_without_end_is_cut_between_letters(root, words):
    (root / "long").write_text("x" + "ü" * 400_000)
    output = shell_command([*words, "long"], root, USAGES)
    assert len(output.text.encode()) <= OUTPUT_BYTES
    assert "\\x" not in output.text.replace("\\xbc", "", 1).replace("\\xc3", "", 1)
    assert "üüü" in output.text


def test_what_exactly_fits_is_not_cut(root):
    (root / "exact").write_text("x" * ROOM)
    for words in (["cat"], ["head", "-n1"], ["tail", "-n1"]):
        output = shell_command([*words, "exact"], root, USAGES)
        assert (len(output.text), output.truncated) == (ROOM, False)
    (root / "exact").write_text("x" * (ROOM + 1))
    assert shell_command(["cat", "exact"], root, USAGES).text.endswith(
        "[cut here: 1 byte more were left out]\n"
    )


def test_of_a_giant_file_a_part_is_looked_at(root, monkeypatch):
    monkeypatch.setattr(texts, "LOOKED_AT_BYTES", 1000)
    (root / "giant").write_text("\n" * 5000)
    output = shell_command(["cat", "-s", "giant"], root, USAGES)
    assert output.text == "\n[cut here: 4000 bytes more were left out]\n"
    assert "4000 bytes" in shell_command(["grep", "x", "giant"], root, USAGES).text


def test_of_very_many_lines_a_part_is_looked_at(root, monkeypatch):
    monkeypatch.setattr(texts, "LOOKED_AT_LINES", 100)
    (root / "giant").write_text("ab\n" * 101)
    for words in (["cat"], ["grep", "a"]):
        output = shell_command([*words, "giant"], root, USAGES)
        assert output.text == "ab\n" * 100 + "[cut here: 3 bytes more were left out]\n"


def test_a_giant_sparse_file_costs_nothing_at_its_end(root):
    with (root / "giant").open("wb") as file:
        file.write(b"text\n" * 2000)
        file.truncate(1 << 40)
        file.seek(0, os.SEEK_END)
        file.write(b"\nthe end\n")
    assert shell_command(["tail", "-n1", "giant"], root, USAGES).text == "the end\n"
    assert shell_command(["head", "-n1", "giant"], root, USAGES).text == "text\n"


@pytest.mark.parametrize("words", [["cat"], ["head"], ["tail"], ["grep", "x"]])
def test_what_is_no_text_is_not_shown(root, words):
    with pytest.raises(UsageError, match="is no text file") as caught:
        shell_command([*words, "model.safetensors"], root, USAGES)
    assert caught.value.reason == "NOT_TEXT"


def test_a_file_that_shrinks_while_it_is_read_ends(root, monkeypatch):
    path = root / "shrinks"
    path.write_text("line\n" * 50_000)
    real = texts.TextFile.pieces

    def pieces(self):
        for number, piece in enumerate(real(self)):
            if number == 1:
                os.truncate(path, 20)
            yield piece

    monkeypatch.setattr(texts.TextFile, "pieces", pieces)
    assert shell_command(["cat", "shrinks"], root, USAGES).text.startswith("line\nline\n")
