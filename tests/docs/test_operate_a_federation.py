# SPDX-License-Identifier: Apache-2.0
"""The tutorial about operating a federation, followed to the letter in an empty folder."""

import json

import pytest

from tests.docs.reader import ROOT, Reader

PAGE = ROOT / "docs" / "tutorial" / "operate-a-federation.md"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(570)]


@pytest.fixture
def reader(tmp_path):
    someone = Reader(tmp_path, ("8002", "8003"))
    yield someone
    someone.leave()


def test_the_tutorial_works(reader, tmp_path):
    reader.follow(PAGE)
    summary = json.loads((tmp_path / "lead" / "summary.json").read_text())
    assert summary["status"] == "finished"
    assert len(summary["rounds"]) == 400
    model = (tmp_path / "lead" / "final.safetensors").read_bytes()
    assert model == (tmp_path / "server/workspace/run_1/models/final.safetensors").read_bytes()
    assert "<html" in (tmp_path / "lead" / "report.html").read_text()
    for log in ("server", "north", "south", "annex"):
        assert "has ended" in (tmp_path / f"{log}.log").read_text()
