# SPDX-License-Identifier: Apache-2.0
"""Updates in 16 bits and everything compressed, between real processes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.documents.schema_check import faults
from mmar_runner.documents.schema_store import load_schema
from mmar_runner.interfaces.observer import Topic
from mmar_runner.testing.processes import RunningClient, RunningServer

ECHO = Path(__file__).parents[2] / "mmars" / "echo"
ONE = {"NUM_ROUNDS": 2, "MIN_NUM_CLIENTS": 1, "MODEL_MB": 1, "NOISE": 1.0}


def echo(folder: Path, **keys: str) -> Path:
    mmar = Path(shutil.copytree(ECHO, folder / "echo"))
    path = mmar / "config" / "config_fed_server.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))
    return mmar


def played(mmar: Path, folder: Path, variables: dict[str, Any]) -> RunningServer:
    """Run a federation of one client to its end."""
    quick = ("--durability", "process")
    with RunningServer(mmar, folder / "ws", *quick, variables=variables) as server:
        address = server.address()
        with RunningClient(mmar, address, "site-1", folder / "c", variables=variables) as client:
            server.wait()
            client.wait()
    return server


@pytest.fixture
def mmar(tmp_path: Path) -> Path:
    return echo(tmp_path, update_codec="fp16", compression="zstd")


def test_what_an_update_lost_and_how_many_bytes_it_took_is_told(mmar: Path, tmp_path: Path) -> None:
    server = played(mmar, tmp_path, ONE)
    summary = server.summary()
    assert summary["status"] == "finished", server.stderr
    assert not faults(load_schema("summary"), summary)
    for entry in summary["rounds"]:
        (update,) = entry["contributions"]
        assert update["codec"] == "fp16"
        assert 5e-5 < update["codec_error"] < 5e-4
        assert 500_000 < update["bytes"] < 510_000  # of a model of 1 MB
        assert entry["received_wire_bytes"] == update["wire_bytes"] < update["bytes"]
        (sent,) = server.observations(Topic.MODEL_SENT, round=entry["round"])
        assert sent["wire_bytes"] < sent["bytes"] > 1_000_000


def test_what_fp16_cannot_carry_fails_the_task_and_says_how_to_mend_it(
    mmar: Path, tmp_path: Path
) -> None:
    server = played(mmar, tmp_path, ONE | {"SITE_INDEX": 100_000, "NOISE": 0.0, "MODEL_MB": 0.01})
    summary = server.summary()
    assert summary["status"] == "failed"
    assert "more than the codec fp16 can carry" in summary["reason"]
