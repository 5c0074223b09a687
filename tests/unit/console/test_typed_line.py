# SPDX-License-Identifier: Apache-2.0
"""What a line of the console says: words, a remark, and the file its answer goes to."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmar_runner.console.own_commands import OWN, today
from mmar_runner.console.typed_line import Redirect, typed_line
from mmar_runner.errors import UsageError
from mmar_runner.orders.commands import BUILT_IN


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("check_status all", ("check_status", "all")),
        ("  start\tserver  ", ("start", "server")),
        ("grep server 'a b' file", ("grep", "server", "a b", "file")),
        ("grep server '# no remark' file", ("grep", "server", "# no remark", "file")),
        ("grep server a>b file#1", ("grep", "server", "a>b", "file#1")),
        ('grep server ">" file', ("grep", "server", ">", "file")),
        ("watch  # Ctrl-C ends the view", ("watch",)),
        ("ls server -l ; id", ("ls", "server", "-l", ";", "id")),
        ("cat server $(id) `id` ~ *", ("cat", "server", "$(id)", "`id`", "~", "*")),
        ("", ()),
        ("# a remark > file", ()),
        ("- a remark", ()),
        ("-", ()),
    ],
)
def test_words(line, words):
    assert typed_line(line).words == words
    assert typed_line(line).redirect is None


@pytest.mark.parametrize(
    ("line", "redirect"),
    [
        ("info > out.txt", Redirect("out.txt", append=False)),
        ("info >out.txt", Redirect("out.txt", append=False)),
        ("info >>out.txt", Redirect("out.txt", append=True)),
        ("info >> out.txt  # kept", Redirect("out.txt", append=True)),
        ("info > 'two words'", Redirect("two words", append=False)),
    ],
)
def test_a_file_for_the_answer(line, redirect):
    assert typed_line(line).redirect == redirect
    assert typed_line(line).words == ("info",)


@pytest.mark.parametrize("line", ["info >", "info > a b", "> a", ">> a", "info 'a", "info > 'a"])
def test_a_line_that_says_nothing_sound_is_refused_with_a_mend(line):
    with pytest.raises(UsageError) as caught:
        typed_line(line)
    assert caught.value.hint


@given(st.text(max_size=40))
def test_every_line_is_read_or_refused(line):
    with suppress(UsageError):
        assert all(isinstance(word, str) for word in typed_line(line).words)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("?", "help"),
        ("exit", "bye"),
        ("quit", "bye"),
        ("check-status", "check_status"),
        ("upload_folder", "upload"),
        ("upload-folder", "upload"),
        ("download_text", "download"),
        ("download_binary", "download"),
        ("check_status", "check_status"),
        ("nothing-like-it", "nothing-like-it"),
    ],
)
def test_older_names_and_hyphens(typed, meant):
    assert today((typed, "more"), {**BUILT_IN, **OWN}) == (meant, "more")


def test_a_command_of_a_plugin_goes_before_an_older_name():
    specs = {**BUILT_IN, **OWN, "quit": OWN["info"]}
    assert today(("quit",), specs) == ("quit",)
