# SPDX-License-Identifier: Apache-2.0
"""``pwd`` and ``ls``."""

import os
import re
import socket

import pytest

from mmar_runner.errors import MmarRunnerError, UsageError
from mmar_runner.shell import listing
from mmar_runner.shell.command import shell_command

LINE = re.compile(r"(\S{10}) (\d+) +(\d+) (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|-?\d+) (.+)")


def test_pwd_names_the_folder_and_none_above_it(say, root):
    assert say("pwd") == "run_7\n"
    with pytest.raises(UsageError, match="unknown option '-P'"):
        say("pwd", "-P")


def test_names_come_in_order_and_hidden_ones_only_with_a(say):
    assert say("ls") == "logs\nmodel.safetensors\nsummary.json\n"
    assert say("ls", "-a") == ".hidden\nlogs\nmodel.safetensors\nsummary.json\n"


@pytest.mark.parametrize("path", ["logs", "./logs", "logs/", "logs//", "./logs/."])
def test_a_folder_below_is_listed(say, path):
    assert say("ls", path) == "deep\nserver.log\n"


def test_a_file_is_listed_by_its_path(say):
    assert say("ls", "logs/server.log") == "logs/server.log\n"


def test_l_tells_kind_names_size_and_time(say, root):
    (root / "elsewhere").symlink_to("/etc/passwd")
    os.mkfifo(root / "pipe")
    lines = {row[5]: row for row in map(LINE.fullmatch, say("ls", "-l").splitlines())}

    assert lines["summary.json"].group(1, 2, 3, 4) == (
        "-rw-r--r--",
        "1",
        "23",
        "2001-09-09T01:46:41Z",
    )
    assert lines["logs"][1].startswith("d")
    assert lines["pipe"][1].startswith("p")
    assert lines["elsewhere"][1].startswith("l")
    assert "passwd" not in say("ls", "-l"), "where a link leads is not told"


def test_t_puts_the_newest_first_and_s_the_largest(say):
    by_time = ["logs", "model.safetensors", "summary.json", ".hidden"]
    assert say("ls", "-at").split() == by_time
    assert say("ls", "-S", "logs").split()[0] == "deep"
    assert say("ls", "-atS").split()[-3:] == ["summary.json", "model.safetensors", ".hidden"]
    assert say("ls", "-aSt").split() == by_time, "the last of the two counts"


def test_u_takes_the_time_of_the_last_reading(say):
    assert say("ls", "-au").split() == [".hidden", "summary.json", "model.safetensors", "logs"]
    assert say("ls", "-atu").split()[0] == ".hidden"
    assert say("ls", "-aSu").split()[-3:] == ["summary.json", "model.safetensors", ".hidden"]
    assert "2033-05-18T03:33:19Z summary.json" in say("ls", "-lu")
    assert say("ls", "-lu").splitlines()[0].endswith("logs"), "with -l it only shows it"


def test_r_goes_down_and_follows_no_link(say, root):
    (root / "logs" / "up").symlink_to(root.parent)
    assert say("ls", "-R") == (
        ".:\nlogs\nmodel.safetensors\nsummary.json\n"
        "\nlogs:\ndeep\nserver.log\nup\n"
        "\nlogs/deep:\ninner.txt\n"
    )
    assert say("ls", "-R", "logs/deep") == "logs/deep:\ninner.txt\n"


@pytest.mark.parametrize("seconds", [300_000_000_000, -(1 << 62), 1 << 62])
def test_a_time_that_no_calendar_has_is_shown_as_a_number(seconds):
    assert listing._said(seconds) == str(seconds)


def test_names_that_a_terminal_would_obey_are_escaped(say, root):
    (root / "logs" / "a\x1b[2J\nb\u202e").touch()
    (root / os.fsdecode(b"caf\xe9")).touch()
    assert "a\\x1b[2J\\nb\\u202e\n" in say("ls", "logs")
    assert "caf\\udce9\n" in say("ls")


def test_of_too_many_entries_the_most_are_listed(root, monkeypatch):
    monkeypatch.setattr(listing, "ENTRIES", 50)
    for number in range(60):
        (root / "logs" / f"f{number:03d}").touch()
    for words in (["ls", "logs"], ["ls", "-R"]):
        output = shell_command(words, root, ["ls"])
        assert output.truncated
        assert output.text.endswith("[50 entries are the most; the others were left out]\n")
        names = [line for line in output.text.splitlines() if line and line[-1] not in ":]"]
        assert len(names) == 50


def test_as_many_entries_as_may_be_are_no_cut(root, monkeypatch):
    monkeypatch.setattr(listing, "ENTRIES", 3)
    assert not shell_command(["ls"], root, ["ls"]).truncated


def test_folders_that_are_too_deep_are_left_out(root):
    deep = root / "logs"
    for number in range(40):
        deep /= f"d{number}"
    deep.mkdir(parents=True)
    output = shell_command(["ls", "-R"], root, ["ls"])
    assert output.truncated
    assert "is deeper than 32 folders and was left out]" in output.text
    assert "d30:\n" in output.text
    assert "d31:\n" not in output.text


def test_many_notes_are_a_few_lines(root):
    for name in "abcdef":
        folder = root / name
        for number in range(33):
            folder /= f"d{number}" + "ü" * 60
        _made(root, folder)
    output = shell_command(["ls", "-R"], root, ["ls"])
    notes = [line for line in output.text.splitlines() if line.startswith("[")]
    assert len(notes) == 5, "one of them says how much was cut"
    assert notes[-1] == "[and 3 more such notes]"
    assert all(len(note) < 300 for note in notes)


def _made(root, folder):
    """Make a folder whose path is longer than the system takes at once."""
    at = os.open(root, os.O_RDONLY)
    for part in folder.relative_to(root).parts:
        os.mkdir(part, dir_fd=at)
        below = os.open(part, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_cannot_be_read_is_left_out(say, root):
    (root / "logs" / "deep").chmod(0)
    assert "'logs/deep' cannot be read and was left out" in say("ls", "-R")
    with pytest.raises(MmarRunnerError, match="cannot be read"):
        say("ls", "logs/deep")


def test_a_folder_that_goes_meanwhile_is_left_out(say, root, monkeypatch):
    real = listing.open_folder

    def gone(name, above, place):
        if name == "deep":
            (root / "logs" / "deep" / "inner.txt").unlink()
            (root / "logs" / "deep").rmdir()
        return real(name, above, place)

    monkeypatch.setattr(listing, "open_folder", gone)
    assert say("ls", "-R").endswith("['logs/deep' cannot be read and was left out]\n")


def test_a_socket_is_listed_and_not_named(say, root, monkeypatch):
    monkeypatch.chdir(root)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("line")
        assert "line\n" in say("ls")
        with pytest.raises(MmarRunnerError, match="neither a file nor a folder"):
            say("ls", "line")
