# SPDX-License-Identifier: Apache-2.0
"""Runs that wait: one after the other, whoever is killed meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mmar_runner.interfaces.observer import Topic
from mmar_runner.testing.kits import Kits
from tests.offices import ANN, Office, office_kits, signed_echo


@pytest.fixture(scope="module")
def kits(tmp_path_factory: pytest.TempPathFactory) -> Kits:
    return office_kits(tmp_path_factory.mktemp("office"))


def finished(office: Office, number: int) -> bool:
    path = office.workspace / f"run_{number}" / "summary.json"
    return path.exists() and json.loads(path.read_text())["status"] == "finished"


#: When the server is killed, in the order in which it comes about.
MOMENTS: dict[str, Callable[[Office], bool]] = {
    "run 1 is over": lambda office: finished(office, 1),
    "run 2 has its number": lambda office: office.state()["run_number"] == 2,
    "run 2 is started": lambda office: len(office.state()["queue"]) == 1,
}


@pytest.mark.timeout(150)
@pytest.mark.parametrize("moment", MOMENTS)
def test_three_runs_over_a_server_that_is_killed(kits: Kits, tmp_path: Path, moment: str) -> None:
    mmar = signed_echo(tmp_path, kits)
    with Office(kits, tmp_path) as office:
        address = office.clients_address
        with office.client("site-1") as first, office.client("site-2") as second:
            office.order("upload", str(mmar))
            office.order("enqueue", "echo", "client")
            office.order("enqueue", "echo", "client", "site-1", "site-2")
            office.order("enqueue", "echo", "client")
            office._until(lambda: MOMENTS[moment](office), f"never: {moment}", 60)
            office.kill()
            with Office(kits, tmp_path, listen=address) as again:
                again._until(lambda: finished(again, 3), "run 3 does not finish", 90)
                again._until(
                    lambda: not again.order("check_status", "server")["value"]["server"]["queue"],
                    "the queue is not empty",
                    10,
                )
                runs = again.order("list_runs")["value"]["runs"]
                assert [(one["run_number"], one["status"]) for one in runs] == [
                    (1, "finished"),
                    (2, "finished"),
                    (3, "finished"),
                ]
                assert again.state()["failed"] == []
                assert not (again.workspace / "run_4").exists()
            assert first.process.poll() is None
            assert second.process.poll() is None
    assert first.observations(Topic.RUN_ENDED, status="finished")


def test_a_client_that_comes_later_gets_the_order_then(kits: Kits, tmp_path: Path) -> None:
    mmar = signed_echo(tmp_path, kits, user=ANN)
    with Office(kits, tmp_path) as office, office.client("site-1"):
        office.order("upload", str(mmar), user=ANN)
        office.order("enqueue", "echo", "client", user=ANN)
        office._until(
            lambda: "site-1" in office.state()["runs"][0]["clients"], "site-1 is not asked", 30
        )
        assert office.state()["runs"][0]["owner"] == ANN
        with office.client("site-2"):
            office._until(lambda: finished(office, 1), "run 1 does not finish", 60)


def test_an_abort_pauses_the_queue(kits: Kits, tmp_path: Path) -> None:
    mmar = signed_echo(tmp_path, kits)
    with Office(kits, tmp_path) as office:
        office.order("upload", str(mmar))
        office.order("enqueue", "echo", "client")
        office._until(lambda: office.state()["runs"] != [], "no run begins", 30)
        office._until(
            lambda: office.order("check_status", "server")["value"]["server"]["status"] == 2,
            "run 1 does not start",
            30,
        )
        office.order("abort", "server")
        assert office.order("enqueue", "echo", "client")["value"]["paused"]
        state = office.order("check_status", "server")["value"]["server"]
        assert (state["paused"], len(state["queue"]), state["run_number"]) == (True, 1, 1)
        office.order("resume_queue")
        office._until(lambda: office.state()["run_number"] == 2, "run 2 does not begin", 30)
        assert office.order("dequeue", "1", code=1)["error"]["reason"] == "UNKNOWN"


def test_an_mmar_that_was_changed_does_not_begin(kits: Kits, tmp_path: Path) -> None:
    mmar = signed_echo(tmp_path, kits)
    with Office(kits, tmp_path) as office:
        office.order("upload", str(mmar))
        office.order("enqueue", "echo", "client")
        office._until(lambda: office.state()["run_number"] == 1, "run 1 does not begin", 30)
        office.order("enqueue", "echo", "client")
        changed = signed_echo(tmp_path / "changed", kits)
        (changed / "docs" / "Readme.md").write_text("another")
        (changed / "signature.json").unlink()
        office.order("upload", str(resigned(changed, kits)))
        office._until(
            lambda: office.order("check_status", "server")["value"]["server"]["status"] == 2,
            "run 1 does not start",
            30,
        )
        office.order("abort", "server")
        office.order("resume_queue")
        office._until(lambda: office.state()["failed"] != [], "nothing fails", 30)
        [failed] = office.order("check_status", "server")["value"]["server"]["failed"]
        assert (failed["mmar"], failed["reason"]) == ("echo", "MMAR_CHANGED")


def resigned(mmar: Path, kits: Kits) -> Path:
    """Sign a changed MMAR with a higher version."""
    from tests.signed_mmars import sign, signer_of

    return sign(mmar, signer_of(kits.admin("lead@a.org")), version=2)


def test_clients_leave_a_run_that_was_stopped_for_the_next(kits: Kits, tmp_path: Path) -> None:
    mmar = signed_echo(tmp_path, kits)
    with (
        Office(kits, tmp_path, rounds=40) as office,
        office.client("site-1"),
        office.client("site-2"),
    ):
        office.order("upload", str(mmar))
        office.order("enqueue", "echo", "client")
        office.order("enqueue", "echo", "client")
        office._until(lambda: len(office.state()["queue"]) == 1, "run 1 is not started", 30)
        office._until(
            lambda: len(office.state()["runs"][0]["clients"]) == 2, "no client is asked", 30
        )
        office.order("abort", "server")
        assert not finished(office, 1)
        office.order("resume_queue")
        office._until(lambda: finished(office, 2), "run 2 does not finish", 50)
        assert set(office.state()["runs"][1]["clients"].values()) == {""}
        assert not finished(office, 1)
