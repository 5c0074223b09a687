# SPDX-License-Identifier: Apache-2.0
"""The comparison of federated and pooled training: sound MMARs, the same volumes, a table."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from mmar_runner.hooks import load_plugins
from mmar_runner.mmar.validation import validate

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def pooled(monkeypatch):
    """The module `federated_and_pooled` of benchmarks/, which is no package."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import federated_and_pooled

    yield federated_and_pooled
    folder = str(ROOT / "benchmarks")
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(folder):
            del sys.modules[name]


def test_the_archive_has_no_finding_with_so_many_steps(pooled, tmp_path):
    pooled.copy_archive(tmp_path / "archive", 12)

    assert validate(tmp_path / "archive", load_plugins().registry).report.findings == ()


def test_one_site_has_what_the_sites_have_and_both_measure_on_what_nobody_has(pooled, tmp_path):
    asked = pooled._parser().parse_args(["--volumes", "1", "--held-out", "1"])
    pooled.write_data(tmp_path, 0, asked)

    def listed(place):
        return json.loads((tmp_path / place / "dataset.json").read_text())

    sites = [listed(f"federated/site-{number}") for number in (1, 2)]
    one = listed("pooled/site-1")
    assert one["training"] == [*sites[0]["training"], *sites[1]["training"]]
    assert one["validation"] == sites[0]["validation"] == sites[1]["validation"]
    assert {Path(sample["image"]).parents[1].name for sample in one["validation"]} == {"held_out"}
    assert all(Path(file).is_file() for sample in one["training"] for file in sample.values())


def test_a_table_says_how_far_apart_they_are(pooled, monkeypatch, tmp_path, capsys):
    dice = {"federated": 0.8, "pooled": 0.85}
    monkeypatch.setattr(pooled, "write_data", lambda *_: None)
    monkeypatch.setattr(pooled, "dice_of", lambda name, *_: dice[name])
    page = tmp_path / "page.md"
    page.write_text(f"before\n{pooled.BEGIN}{pooled.END}after\n")
    monkeypatch.setattr(pooled, "PAGE", page)

    assert pooled.main(["--seeds", "2", "--write"]) == 1  # too far apart
    assert "The means are 0.050 apart" in capsys.readouterr().out
    dice["federated"] = 0.84
    assert pooled.main(["--seeds", "1", "--write"]) == 0
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert text.count("| federated | 0.840 |") == 1


def test_the_page_keeps_what_is_asked_for(pooled):
    _, begin, rest = pooled.PAGE.read_text().partition(pooled.BEGIN)
    written, end, _ = rest.partition(pooled.END)
    assert begin
    assert end
    rows = [line.split(" | ")[0] for line in written.splitlines() if line.startswith("| ")][1:]
    assert rows == [f"| {name}" for name in pooled.ROWS]
    assert float(re.search(r"means are ([0-9.]+) apart", written)[1]) <= pooled.BOUND
