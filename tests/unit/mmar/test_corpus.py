# SPDX-License-Identifier: Apache-2.0
"""Real archives, where a folder of them is at hand (the variable MMAR_CORPUS)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mmar_runner.cli.rewritten import write_upgraded
from mmar_runner.hooks import load_plugins
from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.folder import open_folder
from mmar_runner.mmar.upgrading.plan import plan_upgrade
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
        ("MMAR220", "train.json", "/train/image_pipeline"),
        ("MMAR501", "client.json", "/client"),
        ("MMAR501", "client.json", "/client/model_validator/name"),
        ("MMAR501", "server.json", "/model_saver/name"),
        ("MMAR501", "server.json", "/result_processors/0/name"),
    ]
    assert "BYO_canary" not in sys.modules


def test_with_the_bundled_plugins_an_archive_of_generation_3_lacks_its_network_alone(corpus):
    report = validate(corpus / "clara31_spleen", load_plugins().registry).report

    assert beside_notes(report.findings) == [
        ("MMAR220", "train.json", "/train/image_pipeline"),
        ("MMAR511", "server.json", "/model_saver/args"),
    ]


@pytest.mark.parametrize("name", ["clara31_spleen", "clara4_spleen"])
def test_neither_looking_nor_upgrading_imports_a_framework(corpus, name, tmp_path):
    code = (
        "import sys; from mmar_runner.cli.main import cli;"
        f"cli(['validate-mmar', {str(corpus / name)!r}], standalone_mode=False);"
        f"cli(['upgrade-mmar', {str(corpus / name)!r}, '--out', {str(tmp_path / 'new')!r}],"
        " standalone_mode=False);"
        "print('frameworks', sorted({'monai', 'torch', 'ignite', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.stdout.splitlines()[-1] == "frameworks []", done.stdout + done.stderr


@pytest.mark.parametrize("name", ["clara31_spleen", "clara4_spleen"])
def test_an_upgraded_archive_has_no_note_of_an_upgrade_and_stays_as_it_is(corpus, name, tmp_path):
    registry = load_plugins().registry
    plans = []
    for source, out in ((corpus / name, tmp_path / "new"), (tmp_path / "new", tmp_path / "again")):
        folder = open_folder(source, Findings())
        plans.append(plan_upgrade(folder, registry))
        write_upgraded(folder, plans[-1].texts, out, models=True)

    assert plans[0].changes
    assert (plans[1].texts, plans[1].changes) == ({}, [])
    before = validate(corpus / name, registry).report.findings
    after = validate(tmp_path / "new", registry).report.findings
    # A workflow that runs elsewhere too keeps what does nothing here.
    notes = {(f.code, f.file.rpartition("/")[2]) for f in after}
    assert not {code for code, _ in notes} & {"MMAR210", "MMAR212", "MMAR213", "MMAR515"}
    assert {file for code, file in notes if code == "MMAR211"} <= {"config_validation.json"}
    serious = [[f.code for f in found if f.severity != "note"] for found in (before, after)]
    assert sorted(serious[0]) == sorted(serious[1])
    assert "BYO_canary" not in sys.modules
