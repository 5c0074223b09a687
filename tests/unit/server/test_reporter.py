# SPDX-License-Identifier: Apache-2.0
"""What a run waits for is said once, with those who declined for as long as they do."""

from __future__ import annotations

import asyncio
from pathlib import Path

from mmar_runner.federation.sites import Sites
from mmar_runner.hooks import load_plugins
from mmar_runner.interfaces.observer import Topic
from mmar_runner.security.decision import Decision
from mmar_runner.security.steps import refuses
from mmar_runner.server.calls.packages import Deployment, declined_sentence
from mmar_runner.server.records.record import AcceptedUpdate
from mmar_runner.server.telling.events import EventDispatcher
from mmar_runner.server.telling.reporter import Reporter
from mmar_runner.testing.recorder import Recorder
from tests.jumping_time import in_jumping_time
from tests.updates import accepted


def said(recorder: Recorder) -> list[str]:
    return [str(each.data["message"]) for each in recorder.all(Topic.WAITING)]


def update(client: str, number: int) -> AcceptedUpdate:
    return accepted(client, number)


def reporter_to(recorder: Recorder, *, remind_after: tuple[float, float] = (9, 9)) -> Reporter:
    dispatcher = EventDispatcher([], load_plugins(), None)  # type: ignore[arg-type]
    return Reporter(dispatcher, recorder, num_rounds=2, remind_after=remind_after)


@in_jumping_time
async def test_who_declined_is_part_of_what_is_waited_for_until_they_come_back() -> None:
    recorder = Recorder()
    reporter = reporter_to(recorder)
    reporter.declined("")
    assert said(recorder) == []
    for _ in range(2):
        reporter.waiting("round 0: 0 of 2")
        reporter.declined("declined by a [X]")
    reporter.waiting("round 0: 1 of 2")
    reporter.declined("")
    assert said(recorder) == [
        "round 0: 0 of 2",
        "round 0: 0 of 2; declined by a [X]",
        "round 0: 1 of 2; declined by a [X]",
        "round 0: 1 of 2",
    ]
    reporter.close()


def sites(*names: str) -> Sites:
    return Sites(frozenset(names), frozenset(names))


@in_jumping_time
async def test_what_lasts_is_told_again_with_how_long_and_who_is_missing() -> None:
    recorder = Recorder()
    reporter = reporter_to(recorder, remind_after=(60, 300))
    reporter.expect(sites("north", "south"), lambda: ["south_2"])
    reporter.waiting("round 0: 1 of 2 clients are there", for_clients=True)
    reporter.declined("declined by a [X]")
    await asyncio.sleep(361)
    reporter.close()
    told = recorder.all(Topic.WAITING)[2:]
    assert [each.data["message"] for each in told] == [
        "round 0: 1 of 2 clients are there; declined by a [X]; not there: north",
    ] * 2
    assert [each.data["since_seconds"] for each in told] == [60, 360]


@in_jumping_time
async def test_a_reminder_ends_with_what_was_waited_for() -> None:
    recorder = Recorder()
    reporter = reporter_to(recorder, remind_after=(60, 60))
    reporter.waiting("round 0: 0 of 2")
    reporter.round_started(0, ["a"])
    reporter.waiting("round 0: aggregating 2 updates")
    reporter.waiting("")
    await asyncio.sleep(3600)
    assert len(said(recorder)) == 2


@in_jumping_time
async def test_only_who_waits_for_clients_is_told_who_is_missing() -> None:
    recorder = Recorder()
    reporter = reporter_to(recorder, remind_after=(60, 300))
    reporter.expect(sites("north"), list)
    reporter.waiting("round 0: aggregating 2 updates")
    await asyncio.sleep(61)
    reporter.close()
    assert said(recorder)[1] == "round 0: aggregating 2 updates"


@in_jumping_time
async def test_a_round_that_waits_for_somebody_who_has_gone_says_so_again_and_again() -> None:
    recorder = Recorder()
    reporter = reporter_to(recorder, remind_after=(60, 300))
    present = ["east", "north", "south"]
    reporter.expect(sites(*present), lambda: present)
    reporter.round_started(1, ["east", "north", "south"])
    await asyncio.sleep(400)
    assert said(recorder) == []  # whoever is there works
    present.remove("east")
    reporter.update_accepted(update("north", 1))
    await asyncio.sleep(600)
    assert said(recorder) == ["round 1: updates are missing; not there: east"] * 2
    assert recorder.all(Topic.WAITING)[0].data["since_seconds"] > 60
    reporter.before_aggregation(1, ["north"])
    told = len(said(recorder))
    await asyncio.sleep(3600)
    assert len(said(recorder)) == told


@in_jumping_time
async def test_a_round_that_stood_still_and_goes_on_is_watched_again() -> None:
    recorder = Recorder()
    reporter = reporter_to(recorder, remind_after=(60, 300))
    present = ["north", "south"]
    reporter.expect(sites(*present), lambda: present)
    reporter.round_started(1, ["north", "south"])
    reporter.goes_on()
    reporter.waiting("round 1: nobody is there", for_clients=True)
    reporter.goes_on()
    assert said(recorder) == ["round 1: nobody is there"]
    present.remove("north")
    await asyncio.sleep(61)
    assert said(recorder)[1] == "round 1: updates are missing; not there: north"
    reporter.close()


@in_jumping_time
async def test_many_who_are_missing_are_counted() -> None:
    recorder = Recorder()
    reporter = reporter_to(recorder, remind_after=(60, 300))
    known = sites(*(f"s{number}" for number in range(12)), "s1_2")
    reporter.expect(known, lambda: ["s0", "s1_2", "s2_1"])
    reporter.waiting("round 0", for_clients=True)
    await asyncio.sleep(61)
    reporter.close()
    names = "s1, s10, s11, s3, s4, s5, s6, s7"
    assert said(recorder)[1] == f"round 0; not there: {names} and 2 more"


def test_the_sentence_counts_the_sites_that_may_run_it_and_did_not_decline(tmp_path: Path) -> None:
    no = refuses("site.byoc", "BYOC_NOT_ALLOWED", "No.", hint="Ask.")
    decisions = {
        site: Decision("deploy", site, (), "0" * 64, (no,) if site == "d" else ())
        for site in "abcd"
    }
    deployment = Deployment(tmp_path, "0" * 64, tmp_path / "x.zip", decisions, needed=2)
    assert declined_sentence({}, deployment) == ""
    assert declined_sentence({"b": "X"}, deployment) == "declined by b [X]"
    few = declined_sentence({"b": "X", "a": "Y"}, deployment)
    assert few.startswith("declined by a [Y], b [X]; the run needs 2 clients, and only 1 of the 3 ")
    assert "(c)" in few
