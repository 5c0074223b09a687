# SPDX-License-Identifier: Apache-2.0
"""The comparison on sites that differ: sound MMARs, no run twice, a table on its page."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mmar_runner.hooks import load_plugins
from mmar_runner.mmar.validation import validate

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def non_iid(monkeypatch):
    """The module `non_iid` of benchmarks/, which is no package."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import non_iid

    yield non_iid
    folder = str(ROOT / "benchmarks")
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(folder):
            del sys.modules[name]


def test_every_algorithm_is_an_mmar_without_errors(non_iid, tmp_path):
    registry = load_plugins().registry
    for name in non_iid.ALGORITHMS:
        archive = tmp_path / name
        non_iid.write_archive(archive, name)
        report = validate(archive, registry).report
        assert report.valid, (name, report.findings)


def test_what_a_file_of_results_holds_is_not_run_again(non_iid, tmp_path, monkeypatch, capsys):
    ran = []

    def accuracy(name, seed, asked):
        ran.append((name, seed, asked.alpha))
        return 0.5 + seed / 10

    monkeypatch.setattr(non_iid, "accuracy_of", accuracy)
    page = tmp_path / "page.md"
    page.write_text(f"before\n{non_iid.BEGIN}{non_iid.END}after\n")
    monkeypatch.setattr(non_iid, "PAGE", page)
    options = ["--seeds", "2", "--results", str(tmp_path / "results")]
    assert non_iid.main([*options, "--only", "FedAvg"]) == 0
    assert non_iid.main([*options, "--write"]) == 0
    assert len(ran) == 2 * len(non_iid.ALGORITHMS)
    assert len(set(ran)) == len(ran)
    assert "| SCAFFOLD | 55.0% | 50.0% | 60.0% | 50.0%, 60.0% |" in capsys.readouterr().out
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "--alpha 0.1 --seeds 2" in text
    assert non_iid.main([*options, "--write"]) == 0
    assert text.count("| FedProx |") == page.read_text().count("| FedProx |") == 1


def test_the_page_has_a_row_for_every_algorithm(non_iid):
    _, begin, rest = non_iid.PAGE.read_text().partition(non_iid.BEGIN)
    table, end, _ = rest.partition(non_iid.END)
    assert begin
    assert end
    rows = [line.split(" | ")[0] for line in table.splitlines() if line.startswith("| ")][1:]
    assert rows == [f"| {name}" for name in non_iid.ALGORITHMS]
