# SPDX-License-Identifier: Apache-2.0
"""Whatever the words are: an output from below the root, or an error of ours."""

import string
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmar_runner.errors import MmarRunnerError
from mmar_runner.shell.command import USAGES, shell_command
from mmar_runner.shell.limits import OUTPUT_BYTES

SECRET = "4d0c1f-outside"
PARTS = st.sampled_from(
    ["..", ".", "", "logs", "out", "hard", "a.txt", "x.key", "pipe", "~", "$(id)", "*", "\\", "\0"]
)
PATHS = st.lists(PARTS, max_size=6).map("/".join) | st.just("/etc/passwd")
OPTIONS = st.text("-abcfilnrstuRST0123456789", max_size=4).map(lambda text: f"-{text}")
WORDS = PATHS | OPTIONS | st.text(max_size=8) | st.text(string.printable, max_size=5)
COMMANDS = st.sampled_from(sorted(USAGES)) | st.text(max_size=6)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Iterator[Path]:
    above = tmp_path_factory.mktemp("laws")
    (above / "secret.txt").write_text(SECRET)
    run = above / "run_1"
    (run / "logs").mkdir(parents=True)
    (run / "a.txt").write_text("a\x1b[2J\n" * 20)
    (run / "x.key").write_text(SECRET)
    (run / "logs" / "a.txt").write_text("ü\t\n")
    (run / "logs" / "out").symlink_to(above)
    (run / "out").symlink_to(above / "secret.txt")
    (run / "hard").hardlink_to(above / "secret.txt")
    return run


@settings(max_examples=600, deadline=None)
@given(COMMANDS, st.lists(WORDS, max_size=5))
def test_any_words_give_an_output_from_below_or_an_error(run, name, words):
    try:
        output = shell_command([name, *words], run, USAGES)
    except MmarRunnerError as error:
        said = f"{error.message} {error.hint}"
        fit = said.isprintable() and error.hint is not None
    else:
        said = output.text
        fit = len(said.encode()) <= OUTPUT_BYTES
        fit = fit and all(line.isprintable() for line in said.replace("\t", "").split("\n"))
    assert fit
    assert SECRET not in said


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(), max_size=5), st.sets(st.text()))
def test_nothing_is_carried_out_that_the_owner_did_not_list(run, words, allowed):
    try:
        shell_command(words, run, allowed)
    except MmarRunnerError:
        return
    assert words[0] in allowed
