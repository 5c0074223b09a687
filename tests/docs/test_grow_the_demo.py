# SPDX-License-Identifier: Apache-2.0
"""The tutorial that grows the demo into a tree, followed to the letter in an empty folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmar_runner.security.audit.reading import read_audit
from tests.docs.reader import ROOT, Reader

PAGE = ROOT / "docs" / "tutorial" / "grow-the-demo-into-a-tree.md"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(570)]


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    someone = Reader(tmp_path, ("8002", "8012", "8022"))
    yield someone
    someone.leave()


def test_the_tutorial_works(reader: Reader, tmp_path: Path) -> None:
    reader.follow(PAGE)

    flat, root = (
        json.loads((tmp_path / place / "run_1" / "summary.json").read_text())
        for place in ("flat/server", "tree/root")
    )
    models = [[entry["model_sha256"] for entry in one["rounds"]] for one in (flat, root)]
    assert models[0] == models[1]
    assert len(models[0]) == 100
    for entry in root["rounds"]:
        shares = {one["client"]: one["num_samples"] for one in entry["contributions"]}
        assert shares == {"east/site-1": 62, "east/site-2": 36, "west/site-3": 20}
    for place in ("root", "east", "west"):
        audit = read_audit(tmp_path / "tree" / place / "audit.jsonl")
        assert [line for line in audit if line["decision"] == "refused"] == []
