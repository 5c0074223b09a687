# SPDX-License-Identifier: Apache-2.0
"""Archives in Clara's form run as they are: a server, two sites, each with data of its own."""

from __future__ import annotations

import csv
import json
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.testing.processes import RunningClient, RunningServer
from mmar_runner_monai.synthetic import Plan, write_sites

SAMPLE = Path(__file__).parents[2] / "mmars" / "spheres_unet"
SITES = ("site-1", "site-2")
#: Small enough for a processor, large enough for the archive's crops of 96 voxels of 1 mm.
SPLEENS = Plan(training=1, validation=1, size=(68, 68, 68), spacing=(1.5, 1.5, 1.5))


class Trained:
    """What came of a federation of two sites.

    Attributes:
        folder: Everything that it wrote.
        run: The run's folder at the server.
        summary: The run's ``summary.json``.
        matrix: Of cross-site validation.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run = folder / "ws" / "run_1"
        self.summary = json.loads((self.run / "summary.json").read_bytes())
        results = self.run / "cross_site_validation" / "results.json"
        self.matrix = json.loads(results.read_bytes())


def _federate(stack: ExitStack, folder: Path, mmar: Path, seconds: float, **settings: Any) -> None:
    """Run a federation of two sites to its end."""
    sets = {name: value for name, value in settings.items() if name != "of_site"}
    server = stack.enter_context(RunningServer(mmar, folder / "ws", variables=sets))
    clients = [
        stack.enter_context(
            RunningClient(
                mmar,
                server.address(),
                name,
                folder / "clients",
                variables={**sets, **settings["of_site"](name)},
            )
        )
        for name in SITES
    ]
    assert server.wait(timeout=seconds) == 0, server.stderr
    assert [client.wait() for client in clients] == [0, 0], clients[0].stderr


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_the_sample_learns_and_every_model_meets_every_site(
    stack: ExitStack, tmp_path: Path
) -> None:
    write_sites(tmp_path / "data", 2, Plan(training=2, validation=1))
    data = {"DATA": tmp_path / "data", "NUM_ROUNDS": 2}

    _federate(stack, tmp_path, SAMPLE, 180, of_site=lambda _: {}, **data)

    trained = Trained(tmp_path)
    losses = [entry["metrics"]["train_loss"] for entry in trained.summary["rounds"]]
    assert losses[1] < losses[0]
    for row in trained.matrix.values():
        assert set(row) == {"FL_global_model", "best_FL_global_model", *SITES}
        assert all(0 <= cell["val_mean_dice"] <= 1 for cell in row.values())
    details = next((tmp_path / "clients").rglob("val_mean_dice_raw.csv"))
    assert "validation_000.nii.gz" in details.read_text(), "what a site measures stays with it"


@pytest.fixture
def corpus() -> Path:
    folder = Path(os.environ.get("MMAR_CORPUS", "no-such-folder"))
    if not folder.is_dir():
        pytest.skip("MMAR_CORPUS names no folder of archives")
    return folder / "clara4_spleen"


@pytest.mark.slow
@pytest.mark.timeout(360)
def test_an_archive_of_clara_trains_as_it_is(
    corpus: Path, stack: ExitStack, tmp_path: Path
) -> None:
    """Nothing of it is changed: each site says where its data is, and that is all."""
    folders = dict(zip(SITES, write_sites(tmp_path / "data", 2, SPLEENS), strict=True))

    def of_site(name: str) -> dict[str, Any]:
        return {"DATA_ROOT": folders[name], "DATASET_JSON": folders[name] / "dataset.json"}

    _federate(stack, tmp_path, corpus, 340, of_site=of_site)

    trained = Trained(tmp_path)
    assert [entry["round"] for entry in trained.summary["rounds"]] == [0, 1]
    for entry in trained.summary["rounds"]:
        assert {"train_loss", "val_mean_dice", "val_acc"} <= entry["metrics"].keys()
    assert set(trained.matrix) == set(SITES)
    for row in trained.matrix.values():
        assert set(row) == {"FL_global_model", "best_FL_global_model", *SITES}
        assert all({"val_mean_dice", "val_acc"} <= cell.keys() for cell in row.values())
    logs = [path.read_text() for path in (tmp_path / "clients").rglob("*.log")]
    assert any("amp is off" in said for said in logs)
    assert any("'ts_path' is not read" in said for said in logs)
    summary = next((tmp_path / "clients").rglob("val_mean_dice_summary.csv"))
    assert list(csv.reader(summary.open()))
