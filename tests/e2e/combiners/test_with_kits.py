# SPDX-License-Identifier: Apache-2.0
"""A tree with start-up kits: everybody is known by certificate, also a combiner."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mmar_runner.testing.kits import make_kits
from mmar_runner.testing.processes import RunningClient, RunningCombiner, RunningServer
from tests.e2e.combiners.conftest import ECHO, ROUNDS
from tests.signed_mmars import sign, signer_of

pytestmark = pytest.mark.timeout(240)
_SECONDS = 100.0
VARIABLES = {"NUM_ROUNDS": ROUNDS, "MODEL_MB": 0.3, "MIN_NUM_CLIENTS": 1}


def test_a_combiner_with_a_kit_is_a_server_below_and_a_client_above(tmp_path: Path) -> None:
    kits = make_kits(tmp_path / "project", clients=("site-1", "site-2"), combiners=("east",))
    mmar = Path(shutil.copytree(ECHO, tmp_path / "echo"))
    # Clients are asked for metrics besides; a combiner has none, and must not be refused for it.
    server = mmar / "config" / "config_fed_server.json"
    processors = {"result_processors": [{"name": "MetricsProcessor"}]}
    server.write_text(json.dumps(json.loads(server.read_text()) | processors))
    sign(mmar, signer_of(kits.admin("lead@example.org")))
    with (
        RunningServer(mmar, tmp_path / "root", variables=VARIABLES, kit=kits.server) as root,
        RunningCombiner(
            *(mmar, root.address(), "east", tmp_path, "--min-clients", "2"),
            variables=VARIABLES,
            kit=kits.client("east"),
        ) as east,
        RunningClient(
            *(mmar, east.address(), "site-1", tmp_path / "sites"),
            variables=VARIABLES,
            kit=kits.client("site-1"),
        ) as first,
        RunningClient(
            *(mmar, east.address(), "site-2", tmp_path / "sites"),
            variables=VARIABLES,
            kit=kits.client("site-2"),
        ) as second,
    ):
        assert root.wait(timeout=_SECONDS) == 0, root.stderr
        assert [one.wait() for one in (east, first, second)] == [0, 0, 0], east.stderr
        shares = root.summary()["rounds"][-1]["contributions"]
        assert [one["client"] for one in shares] == ["east/site-1", "east/site-2"]
        lines = (root.workspace / "audit.jsonl").read_text().splitlines()
        said = [json.loads(line) for line in lines]
    assert {one["who"] for one in said if one["action"] == "Register"} == {"combiner east"}
    assert [one for one in said if one["decision"] == "refused"] == []


def test_a_client_below_a_combiner_has_its_address_in_the_kit(tmp_path: Path) -> None:
    project = tmp_path / "project.yml"
    project.write_text(
        "name: demo\n"
        "server: {cn: root.example, org: a, min_num_clients: 1}\n"
        "combiners:\n"
        "- {name: east, cn: east.example, org: b, fed_learn_port: 9002, min_num_clients: 1}\n"
        "- {name: low, cn: low.example, org: b, combiner: east}\n"
        "fl_clients:\n"
        "- {client_name: site-1, org: b, combiner: low}\n"
        "- {client_name: site-2, org: b}\n"
        "admin_clients: [{email: lead@example.org, org: a}]\n"
    )
    from datetime import UTC, datetime

    from mmar_runner.security.identity import Role
    from mmar_runner.security.kits.kit import load_kit
    from mmar_runner.security.provisioning.calls import provision

    now = datetime.now(UTC)
    provision(project, tmp_path / "kits", now=now)
    kits = tmp_path / "kits"
    east, low = (load_kit(kits / name, Role.COMBINER, now=now) for name in ("east", "low"))
    assert (east.target, east.own_target) == ("root.example:8002", "east.example:9002")
    assert (low.target, low.own_target) == ("east.example:9002", "low.example:8002")
    assert east.config["combiner"]["min_num_clients"] == 1
    targets = [load_kit(kits / f"site-{n}", Role.CLIENT, now=now).target for n in (1, 2)]
    assert targets == ["low.example:8002", "root.example:8002"]
