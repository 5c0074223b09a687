# SPDX-License-Identifier: Apache-2.0
"""E04: what another organisation has at the server is answered like what is not there.

Bob's organisation may work at the server and see nothing there but its own. Alice, who owns
the server, is the control.
"""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.errors import MmarRunnerError
from mmar_runner.testing.offices import Office, office, ordered
from tests.attacks.two_orgs import ALICE, BOB, TwoOrgs, put_upload

VARIABLES = {"NUM_ROUNDS": 2, "MIN_NUM_CLIENTS": 1, "MODEL_MB": 0.01}
#: By how much slower one of two refusals may be that nobody must tell from another.
SAME_TIME = 3.0


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> TwoOrgs:
    return TwoOrgs(tmp_path_factory.mktemp("orgs"))


@pytest.fixture
async def standing(project: TwoOrgs, tmp_path: Path) -> AsyncIterator[Office]:
    workspace = tmp_path / "ws"
    for name, owner in (("alices", ALICE), ("bobs", BOB)):
        put_upload(workspace, project.mmar(tmp_path, name), owner=owner)
    kit = project.server_kit(tmp_path.name)
    async with office(kit, workspace, variables=VARIABLES) as found:
        yield found


@pytest.fixture
async def alice(project: TwoOrgs, standing: Office) -> AsyncIterator[Any]:
    async with standing.session(project.kits.admin(ALICE)) as session:
        yield session


@pytest.fixture
async def bob(project: TwoOrgs, standing: Office) -> AsyncIterator[Any]:
    async with standing.session(project.kits.admin(BOB)) as session:
        yield session


async def answer(session: Any, line: str) -> tuple[str, str, str]:
    """Return what a refused order is told, whatever name or number it is about."""
    with pytest.raises(MmarRunnerError) as refused:
        await ordered(session, line)
    words = line.split()[1:]
    return tuple(
        re.sub("|".join(map(re.escape, words)), "X", str(text))
        for text in (refused.value.reason, refused.value.message, refused.value.hint)
    )


async def test_e04_another_organisations_mmar_is_answered_like_none(
    standing: Office, alice: Any, bob: Any
) -> None:
    await ordered(bob, "set_run_number 5")
    assert await answer(bob, "deploy alices server") == await answer(bob, "deploy nobody server")
    assert (await answer(bob, "deploy alices server"))[0] == "UNKNOWN"
    theirs = await answer(bob, "enqueue alices client")
    assert theirs == await answer(bob, "enqueue nobody client")
    mine = (await ordered(bob, "list_mmars")).value["mmars"]
    assert [one["name"] for one in mine] == ["bobs"]

    every = (await ordered(alice, "list_mmars")).value["mmars"]
    assert [one["name"] for one in every] == ["alices", "bobs"]
    assert (await ordered(bob, "deploy bobs server")).value["server"]["mmar"] == "bobs"


async def test_e04_another_organisations_run_is_answered_like_none(
    standing: Office, alice: Any, bob: Any
) -> None:
    await ordered(alice, "set_run_number 1")
    await ordered(alice, "deploy alices server")
    deleted = await answer(bob, "delete_run_number 1 server")
    assert deleted == await answer(bob, "delete_run_number 99 server")
    assert deleted[0] == "UNKNOWN"
    assert (standing.workspace / "run_1").exists()
    for line in ("set_run_number 1", "start server", "deploy bobs server"):
        assert (await answer(bob, line))[0] == "UNKNOWN"

    # The control: it is there, for whom it is there.
    assert (await ordered(alice, "check_status server")).value["server"]["mmar"] == "alices"
    await ordered(alice, "delete_run_number 1 server")
    assert not (standing.workspace / "run_1").exists()


async def test_e04_a_folder_that_nobody_chose_here_is_for_those_who_see_everything(
    standing: Office, alice: Any, bob: Any
) -> None:
    """Such as that of a run which a server of one run served."""
    folder = standing.workspace / "run_7"
    folder.mkdir()
    theirs = await answer(bob, "delete_run_number 7 server")
    assert theirs == await answer(bob, "delete_run_number 99 server")
    assert folder.exists()
    await ordered(alice, "delete_run_number 7 server")
    assert not folder.exists()


async def test_e04_an_open_run_of_another_organisation_cannot_be_stopped_or_changed(
    standing: Office, alice: Any, bob: Any
) -> None:
    lines = ("abort server", "set_min_clients 1", "remove_client site-1", "reset_client site-1")
    before = [await answer(bob, line) for line in lines]
    assert {one[0] for one in before} == {"NO_RUN"}
    await ordered(alice, "set_run_number 1")
    await ordered(alice, "deploy alices server")
    await ordered(alice, "start server")
    assert [await answer(bob, line) for line in lines] == before
    state = (await ordered(alice, "check_status server")).value["server"]
    assert (state["status_name"], state["run_number"]) == ("started", 1)

    await ordered(alice, "abort server")
    assert [await answer(bob, line) for line in lines] == before


async def test_e04_another_organisations_place_in_the_queue_is_answered_like_none(
    standing: Office, alice: Any, bob: Any
) -> None:
    await ordered(alice, "set_run_number 1")
    await ordered(alice, "deploy alices server")
    await ordered(alice, "start server")  # what comes next waits
    await ordered(alice, "enqueue alices client site-1")
    await ordered(bob, "enqueue bobs client site-2")
    theirs = await answer(bob, "dequeue 1")
    assert theirs == await answer(bob, "dequeue 9")
    assert theirs[0] == "UNKNOWN"
    queue = (await ordered(alice, "check_status server")).value["server"]["queue"]
    assert [one["mmar"] for one in queue] == ["alices", "bobs"]
    await ordered(bob, "dequeue 2")
    await ordered(alice, "dequeue 1")


async def test_e04_both_answers_take_as_long(standing: Office, alice: Any, bob: Any) -> None:
    await ordered(alice, "set_run_number 1")
    await ordered(bob, "set_run_number 2")
    pairs = [
        ("deploy alices server", "deploy nobody server"),
        ("delete_run_number 1 server", "delete_run_number 99 server"),
    ]
    for theirs, none in pairs:
        taken: dict[str, list[float]] = {theirs: [], none: []}
        for _ in range(15):
            for line in (theirs, none):
                began = time.perf_counter()
                await answer(bob, line)
                taken[line].append(time.perf_counter() - began)
        first, second = (statistics.median(times) for times in taken.values())
        assert max(first, second) / min(first, second) < SAME_TIME, (theirs, first, second)


async def test_e04_every_attempt_is_written_down(standing: Office, bob: Any) -> None:
    await answer(bob, "delete_run_number 1 server")
    lines = await standing.audited(action="admin.delete_run_number", who=f"admin {BOB}")
    assert [line["decision"] for line in lines] == ["accepted"], "rights were there"
    refused = await standing.audited(action="Execute", who=f"admin {BOB}", decision="refused")
    assert [line["reason"] for line in refused] == ["UNKNOWN"]


async def test_e04_a_run_of_another_organisation_is_let_be_at_other_sites_too(
    project: TwoOrgs, standing: Office, alice: Any, bob: Any
) -> None:
    """Its clients are reached by orders of their own, which the server hands on."""
    await ordered(alice, "set_run_number 1")
    await ordered(alice, "deploy alices server")
    kits = [project.kits.client(site) for site in ("site-1", "site-2")]
    lines = ("deploy alices", "start", "start_mgpu", "abort", "delete_run_number 1")
    async with standing.clients(*kits) as stubs:
        for line in lines:
            number = " 2" if line == "start_mgpu" else ""
            for whom in ("site-1", "site-2 site-1", ""):
                refused = await answer(bob, f"{line} client{number} {whom}".strip())
                assert refused[0] == "UNKNOWN", line
        assert [stub.requests for stub in stubs] == [[], []]

        # The controls: at a site of one's own, on a run of one's own, and on one that is none.
        for line in lines:
            number = " 2" if line == "start_mgpu" else ""
            assert (await ordered(bob, f"{line} client{number} site-2")).status == "done"
        assert (await ordered(bob, "delete_run_number 9 client site-1")).status == "done"
        await ordered(bob, "set_run_number 5")
        assert (await ordered(bob, "abort client")).status == "done"
        assert (await ordered(alice, "delete_run_number 1 client")).status == "done"
