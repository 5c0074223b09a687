# SPDX-License-Identifier: Apache-2.0
"""The guided search itself, for a few seconds: it counts branches, and finds what is planted."""

from __future__ import annotations

import pytest

from tests.fuzz.catalog import TARGETS
from tests.fuzz.search import main, search
from tests.fuzz.target import FINDINGS

atheris = pytest.importorskip("atheris", reason="pip install '.[fuzz]' for guided searches")


def test_a_search_covers_the_reader(tmp_path) -> None:
    found = search(TARGETS["header"], 5, tmp_path)

    assert found.what == ""
    assert found.executions > 100
    assert found.edges > 20


def test_every_target_gets_its_part_of_the_time(tmp_path, monkeypatch, capsys) -> None:
    arguments = ["--seconds", "4", "--target", "token", "--target", "words"]
    monkeypatch.setattr("sys.argv", ["search", *arguments, "--work", str(tmp_path)])

    assert main() == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_what_breaks_a_reader_is_written_down(tmp_path, monkeypatch) -> None:
    """With a reader that hangs again as it once did."""
    (tmp_path / "sitecustomize.py").write_text(_AS_ONCE)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{FINDINGS.parents[2]}")

    found = search(TARGETS["state_pointer"], 20, tmp_path)

    assert "RecursionError" in found.what
    assert found.found


_AS_ONCE = """
import json
def loads(data, **more):
    raise RecursionError("planted")
import builtins, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "mmar_runner.client.state":
            json.loads = loads
        return None
sys.meta_path.insert(0, Finder())
"""
