# SPDX-License-Identifier: Apache-2.0
import json
import shutil
from pathlib import Path

import pytest

from mmar_runner.federation.fedbuff import FedBuff
from mmar_runner.hooks import load_plugins
from mmar_runner.mmar.validation import validate
from mmar_runner.testing.contracts import WorkflowContract

SAMPLE = Path(__file__).parents[2] / "mmars" / "digits_robust"


class TestFedBuff(WorkflowContract):
    def make(self):
        return FedBuff(max_staleness=2)


@pytest.mark.parametrize(
    ("aggregator", "args", "goes"),
    [
        ("FedAvg", {}, True),
        ("FedAdam", {}, True),
        ("NormClipping", {"max_norm": 1.0}, True),
        ("MultiKrum", {"num_malicious": 1}, False),
        ("Median", {}, False),
        ("GeometricMedian", {}, False),
    ],
)
@pytest.mark.parametrize("staleness", [0, 10])
def test_what_goes_with_updates_of_older_models(tmp_path, aggregator, args, goes, staleness):
    folder = shutil.copytree(SAMPLE, tmp_path / "job")
    path = folder / "config" / "config_fed_server.json"
    workflow = {"name": "FedBuff", "args": {"max_staleness": staleness}}
    content = json.loads(path.read_text()) | {"workflow": workflow}
    content["aggregator"] = {"name": aggregator, "args": args}
    path.write_text(json.dumps(content))
    found = validate(folder, load_plugins().registry).report.findings
    assert ("MMAR650" in {one.code for one in found}) is (staleness > 0 and not goes)
