# SPDX-License-Identifier: Apache-2.0
"""E09 with the project's own server: what a site's filter takes out is nowhere to be found.

The MMAR's filter writes a mark, which stands for what is private, into one tensor. The
server is killed with the update in its hands, so that nothing of it is cleared away.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from mmar_runner.server.records.record import Kind
from tests.distributions import install_site_filters

TENSOR = "array_0003"
MARK = struct.pack("<f", 1234.5678) * 4
BLANK = {"name": "Blank", "args": {"tensor": TENSOR}}
MARKING = {"name": "Mark", "args": {"tensor": TENSOR}}


@pytest.fixture(autouse=True)
def _installed(tmp_path, monkeypatch):
    """Install the filters at the server and at the sites, as a distribution."""
    install_site_filters(tmp_path / "site-packages")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site-packages"))


def marked_at_the_server(hospital, size_mb: float) -> list[str]:
    """Return where a server that took an update of site-1 in has the mark."""
    mmar = hospital.mmar(sign=False)
    path = mmar / "config" / "config_fed_client.json"
    value = json.loads(path.read_text())
    value["client"]["outbound_filters"] = [BLANK, MARKING]  # in the wrong order, on purpose
    path.write_text(json.dumps(value))
    hospital.sign(mmar)
    hospital.variables["MODEL_MB"] = size_mb
    with hospital.start_server(mmar) as server:
        address = server.address()
        hospital.variables["SECONDS"] = 0
        with hospital.client("site-1", address):
            hospital.variables["SECONDS"] = 30  # the round stays open
            with hospital.client("site-3", address):
                server.until_recorded(Kind.UPDATE_ACCEPTED, client="site-1")
                server.kill()
    kept = [server.workspace, *hospital.folder.glob("server.*")]
    return holding(MARK, kept)


def holding(mark: bytes, places: list[Path]) -> list[str]:
    """Return the names of files in which a mark is."""
    files = [p for place in places for p in (place.rglob("*") if place.is_dir() else [place])]
    return [path.name for path in files if path.is_file() and mark in path.read_bytes()]


@pytest.mark.parametrize("size_mb", [0.01, 5], ids=["inline", "in_chunks"])
def test_e09_what_the_site_takes_out_is_in_no_file_of_the_server(hospital, size_mb):
    """Journal, spool, models and logs: all of its workspace is looked through."""
    hospital.policy("site-1", mandatory_filters={"outbound": [BLANK]})
    assert marked_at_the_server(hospital, size_mb) == []


@pytest.mark.parametrize("size_mb", [0.01, 5], ids=["inline", "in_chunks"])
def test_e09_without_the_sites_filter_the_server_has_it(hospital, size_mb):
    assert marked_at_the_server(hospital, size_mb)


def test_e09_where_the_sites_own_filter_is_not_installed_nothing_runs(hospital) -> None:
    mmar = hospital.mmar()
    hospital.policy("site-1", mandatory_filters={"outbound": ["Nowhere"]})
    hospital.refused("site-1", mmar, "COMPONENT_NOT_FOUND")
    asked = ("policy", "explain", mmar, "--kit", hospital.kit("site-1"), "--json")
    ended = hospital.command(*asked)
    (step,) = [one for one in ended.answer["steps"] if not one["accepted"]]
    assert (ended.code, step["reason"]) == (1, "COMPONENT_NOT_FOUND")

    hospital.policy("site-1")
    hospital.accepted("site-1", mmar)
