# SPDX-License-Identifier: Apache-2.0
"""Real archives, where a folder of them is at hand (the variable MMAR_CORPUS)."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mmar_runner.mmar.validation import validate

if TYPE_CHECKING:
    from mmar_runner.mmar.finding import Finding


@pytest.fixture
def corpus():
    folder = Path(os.environ.get("MMAR_CORPUS", "no-such-folder"))
    if not folder.is_dir():
        pytest.skip("MMAR_CORPUS names no folder of archives")
    return folder


def beside_notes(findings: tuple[Finding, ...]) -> list[tuple[str, str, str]]:
    shown = [
        (f.code, f.file.rpartition("_")[2], f.pointer) for f in findings if f.severity != "note"
    ]
    return sorted(shown)


def test_an_archive_of_generation_4(corpus, mmar):
    report = validate(corpus / "clara4_spleen", mmar.catalog).report

    assert report.generation == "clara-4"
    assert not report.byoc
    assert beside_notes(report.findings) == [
        ("MMAR301", "validation.json", "/model/0/ts_path"),
        ("MMAR501", "server.json", "/aggregator/name"),
        ("MMAR501", "server.json", "/model_persistor/name"),
        ("MMAR503", "client.json", "/client_trainer/path"),
        ("MMAR503", "client.json", "/cross_site_validation/model_validator/path"),
        ("MMAR503", "server.json", "/handlers/0/path"),
    ]


def test_an_archive_of_generation_3(corpus, mmar):
    report = validate(corpus / "clara31_spleen", mmar.catalog).report

    assert report.generation == "clara-3.1"
    assert report.byoc
    assert beside_notes(report.findings) == [
        ("MMAR501", "client.json", "/client"),
        ("MMAR501", "client.json", "/client/model_validator/name"),
        *(("MMAR501", "client.json", f"/client/post_processors/{i}/name") for i in (0, 1)),
        *(("MMAR501", "client.json", f"/client/pre_processors/{i}/name") for i in (2, 3)),
        ("MMAR501", "server.json", "/model_saver/name"),
        *(("MMAR501", "server.json", f"/post_processors/{i}/name") for i in (0, 1)),
        *(("MMAR501", "server.json", f"/pre_processors/{i}/name") for i in (0, 1)),
        ("MMAR501", "server.json", "/result_processors/0/name"),
    ]
    assert "BYO_canary" not in sys.modules
