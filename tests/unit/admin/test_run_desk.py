# SPDX-License-Identifier: Apache-2.0
"""The life of runs at a standing server, as an administrator leads it; real files and ports."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.errors import MmarRunnerError, StorageError
from mmar_runner.testing.offices import Office, office, ordered
from tests.attacks.two_orgs import ALICE, BOB, TwoOrgs, put_upload

VARIABLES = {"NUM_ROUNDS": 2, "MIN_NUM_CLIENTS": 1, "MODEL_MB": 0.01}


@pytest.fixture
def kit(two_orgs: TwoOrgs, tmp_path: Path) -> Path:
    return two_orgs.server_kit(f"desk-{tmp_path.name}")


@pytest.fixture
def workspace(two_orgs: TwoOrgs, tmp_path: Path) -> Path:
    folder = tmp_path / "ws"
    for name in ("study", "other"):
        put_upload(folder, two_orgs.mmar(tmp_path, name), owner=ALICE)
    return folder


@pytest.fixture
async def standing(kit: Path, workspace: Path) -> AsyncIterator[Office]:
    async with office(kit, workspace, variables=VARIABLES) as found:
        yield found


@pytest.fixture
async def lead(two_orgs: TwoOrgs, standing: Office) -> AsyncIterator[Any]:
    async with standing.session(two_orgs.kits.admin(ALICE)) as session:
        yield session


async def reason(session: Any, line: str) -> str:
    with pytest.raises(MmarRunnerError) as refused:
        await ordered(session, line)
    assert refused.value.message.isprintable()
    return str(refused.value.reason)


async def status(session: Any) -> dict[str, Any]:
    return dict((await ordered(session, "check_status server")).value["server"])


async def begun(session: Any, *lines: str) -> None:
    for line in lines or ("set_run_number 1", "deploy study server", "start server"):
        assert (await ordered(session, line)).status == "done"


async def test_each_step_asks_for_the_one_before(lead: Any) -> None:
    for line, expected in [
        ("deploy study server", "RUN_NUMBER_UNSET"),
        ("start server", "RUN_NUMBER_UNSET"),
        ("abort server", "NO_RUN"),
        ("taskname", "NOT_DEPLOYED"),
    ]:
        assert await reason(lead, line) == expected
    await begun(lead, "set_run_number 1")
    assert await reason(lead, "start server") == "NOT_DEPLOYED"
    await begun(lead, "deploy study server", "start server")
    found = await status(lead)
    assert (found["status_name"], found["mmar"], found["run_number"]) == ("started", "study", 1)


async def test_what_would_disturb_an_open_run_is_refused(lead: Any) -> None:
    await begun(lead)
    for line in (
        "start server",
        "deploy other server",
        "set_run_number 2",
        "delete_run_number 1 server",
    ):
        assert await reason(lead, line) == "RUN_OPEN"
    await begun(lead, "abort server", "set_run_number 2")


async def test_a_run_that_was_stopped_goes_on_where_it_was(lead: Any, standing: Office) -> None:
    await begun(lead)
    await begun(lead, "abort server")
    stopped = await status(lead)
    assert stopped["status_name"] == "stopped"
    assert stopped["run"]["reason"] == f"{ALICE} stopped it"
    again = await ordered(lead, "start server")
    assert again.value["server"]["resumed"] is True
    assert await reason(lead, "abort server now") == "USAGE"


async def test_a_run_that_has_begun_is_not_given_another_mmar(lead: Any) -> None:
    await begun(lead)
    await begun(lead, "abort server")
    assert await reason(lead, "deploy other server") == "RUN_DIFFERS"
    await begun(lead, "set_run_number 2", "deploy other server")


async def test_two_who_start_at_once_start_one_run(two_orgs: TwoOrgs, standing: Office) -> None:
    async with (
        standing.session(two_orgs.kits.admin(ALICE)) as one,
        standing.session(two_orgs.kits.admin(ALICE)) as other,
    ):
        await begun(one, "set_run_number 1", "deploy study server")
        both = await asyncio.gather(
            *(ordered(session, "start server") for session in (one, other)),
            return_exceptions=True,
        )
        reasons = [getattr(found, "reason", "done") for found in both]
        assert sorted(reasons) == ["RUN_OPEN", "done"]


async def test_an_mmar_that_was_changed_after_its_upload_is_looked_at_again(
    lead: Any, workspace: Path
) -> None:
    """What lies on the server's disk is not believed for having been uploaded once."""
    (workspace / "transfer" / "study" / "config" / "more.json").write_text("{}")
    await begun(lead, "set_run_number 1")
    assert await reason(lead, "deploy study server") in {"MANIFEST_MISMATCH", "SIGNATURE"}
    assert (await status(lead))["mmar"] is None


async def test_an_open_run_goes_on_when_the_server_comes_again(
    two_orgs: TwoOrgs, kit: Path, workspace: Path
) -> None:
    for first in (True, False):
        async with office(kit, workspace, variables=VARIABLES) as standing:  # noqa: SIM117
            async with standing.session(two_orgs.kits.admin(ALICE)) as lead:
                if first:
                    await begun(lead)
                async with asyncio.timeout(30):  # it stands first, and goes on then
                    while (found := await status(lead))["status_name"] != "started":  # noqa: ASYNC110
                        await asyncio.sleep(0.05)  # a status raises no event
                assert found["run_number"] == 1


async def test_a_run_that_was_stopped_stays_so_when_the_server_comes_again(
    two_orgs: TwoOrgs, kit: Path, workspace: Path
) -> None:
    for first in (True, False):
        async with office(kit, workspace, variables=VARIABLES) as standing:  # noqa: SIM117
            async with standing.session(two_orgs.kits.admin(ALICE)) as lead:
                if first:
                    await begun(lead)
                    await begun(lead, "abort server")
                assert (await status(lead))["status_name"] in {"stopped", "not_started"}
                assert await reason(lead, "abort server") == "NO_RUN"


async def test_a_store_that_lost_the_run_keeps_nobody_from_standing(
    two_orgs: TwoOrgs, kit: Path, workspace: Path
) -> None:
    async with office(kit, workspace, variables=VARIABLES) as standing:  # noqa: SIM117
        async with standing.session(two_orgs.kits.admin(ALICE)) as lead:
            await begun(lead)
    (workspace / "store").rename(workspace / "lost")
    async with office(kit, workspace, variables=VARIABLES) as standing:  # noqa: SIM117
        async with standing.session(two_orgs.kits.admin(ALICE)) as lead:
            assert (await status(lead))["status_name"] != "started"
            await begun(lead, "deploy study server", "start server")


async def test_a_damaged_memory_lets_no_server_stand(kit: Path, workspace: Path) -> None:
    (workspace / "federation.json").write_text(json.dumps({"version": 1}))
    with pytest.raises(StorageError, match=r"federation\.json"):
        async with office(kit, workspace):
            pytest.fail("it stands")


async def test_the_time_that_clients_may_take_is_remembered(
    two_orgs: TwoOrgs, kit: Path, workspace: Path
) -> None:
    for line in ("set_timeout 33.5", "show_info"):
        async with office(kit, workspace) as standing:  # noqa: SIM117
            async with standing.session(two_orgs.kits.admin(ALICE)) as lead:
                await begun(lead, line)
    assert json.loads((workspace / "federation.json").read_bytes())["timeout"] == 33.5


async def test_whoever_watches_sees_the_end_and_leaves_nothing_behind(
    two_orgs: TwoOrgs, lead: Any, standing: Office
) -> None:
    await begun(lead)
    before = len(asyncio.all_tasks())
    async with standing.session(two_orgs.kits.admin(ALICE)) as watcher:
        call = watcher.execute(["watch"])
        assert (await anext(call))["kind"] == "status"
        await asyncio.sleep(3.2)  # as long as three looks of the server
        assert len(asyncio.all_tasks()) < before + 12
        await begun(lead, "abort server")
        async with asyncio.timeout(20):
            events = [event async for event in call]
    assert events[-1]["kind"] == "end"
    assert events[-2]["value"]["run"]["status"] == "stopped"


async def test_the_server_does_not_end_while_clients_are_there(
    two_orgs: TwoOrgs, lead: Any, standing: Office
) -> None:
    async with standing.clients(two_orgs.kits.client("site-1")):
        assert await reason(lead, "shutdown server") == "CLIENTS_CONNECTED"
    assert (await ordered(lead, "show_info")).value["clients"] == []


async def test_what_one_may_not_do_nobody_hears_of(
    two_orgs: TwoOrgs, lead: Any, standing: Office
) -> None:
    """Bob works at this server and does not see what alice has there."""
    await begun(lead)
    async with standing.session(two_orgs.kits.admin(BOB)) as bob:
        assert await reason(bob, "check_status server") == "NOT_AUTHORIZED"
        assert await reason(bob, "watch") == "NOT_AUTHORIZED"
        assert await reason(bob, "abort server") == "NO_RUN"
