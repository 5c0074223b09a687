# SPDX-License-Identifier: Apache-2.0
"""The guided search itself, for a few seconds: it counts branches, and finds what is planted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.catalog import TARGETS
from tests.fuzz.search import main, search

pytest.importorskip("atheris", reason="pip install '.[fuzz]' for guided searches")
# To import the program with every branch counted takes most of it.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_a_search_covers_the_reader(tmp_path) -> None:
    found = search(TARGETS["header"], 5, tmp_path)

    assert found.what == ""
    assert found.executions > 100
    assert found.edges > 20


def test_every_target_gets_its_part_of_the_time(tmp_path, monkeypatch, capsys) -> None:
    arguments = ["--seconds", "2", "--target", "words", "--target", "words"]
    monkeypatch.setattr("sys.argv", ["search", *arguments, "--work", str(tmp_path)])

    assert main() == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_what_breaks_a_reader_is_written_down(tmp_path) -> None:
    found = search(TARGETS["words"], 30, tmp_path, "tests.fuzz.planted")

    assert "KeyError" in found.what
    assert b"!" in Path(found.found).read_bytes()
