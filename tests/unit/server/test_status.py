# SPDX-License-Identifier: Apache-2.0
"""``status.json`` costs a run nothing that it would notice, and is always whole."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.errors import DiskFullError
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.server.status import status
from mmar_runner.server.status.progress import ProgressTeller
from mmar_runner.server.status.status import StatusFile
from mmar_runner.testing.recorder import Recorder

ROUND = Observation(Topic.ROUND_STARTED, {"round": 0})


class Looks:
    """Counts how often somebody looks, and can be waited for."""

    def __init__(self) -> None:
        self.count = 0
        self.looked = asyncio.Event()

    def __call__(self) -> dict[str, Any]:
        self.count += 1
        self.looked.set()
        return {"count": self.count}

    async def next(self) -> None:
        self.looked.clear()
        await asyncio.wait_for(self.looked.wait(), 10)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "status.json"


def written(path: Path) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(path.read_bytes())
    return said


def lines_of(path: Path) -> int:
    return path.read_text().count("\n")


async def test_a_flood_of_changes_is_written_once_and_once_more_at_the_end(path: Path) -> None:
    recorder, looks = Recorder(), Looks()
    file = StatusFile(path, recorder, pause=3600, refresh=7200)
    file.observe(ROUND)  # nobody wants it yet
    file.begin(looks)
    await looks.next()
    for _ in range(1000):
        file.observe(ROUND)
    assert len(recorder.all(Topic.ROUND_STARTED)) == 1001, "whoever watches sees everything"
    assert looks.count == 1
    await file.close()
    said = written(path)
    assert (said["count"], looks.count) == (2, 2)
    assert said["updated"].endswith("Z")
    file.observe(ROUND)
    await file.close()
    assert looks.count == 2


async def test_a_change_is_written_soon_and_time_goes_on_without_any(path: Path) -> None:
    looks = Looks()
    file = StatusFile(path, Recorder(), pause=0.01, refresh=0.05)
    file.begin(looks)
    for _ in range(3):
        await looks.next()
    assert looks.count >= 3, "the refresh alone"
    slow = StatusFile(path, Recorder(), pause=0.01, refresh=3600)
    slow.begin(looks)
    await looks.next()
    slow.touch()
    await looks.next()
    await file.close()
    await slow.close()


async def test_what_cannot_wait_is_written_at_once(path: Path) -> None:
    """A server that was killed while it said goodbye left a run that seemed to go on."""
    looks = Looks()
    file = StatusFile(path, Recorder(), pause=3600, refresh=7200)
    file.hurry()  # nobody wants it yet
    file.begin(looks)
    await looks.next()
    assert file._writing is not None
    await file._writing
    file.touch()
    file.hurry()
    await looks.next()
    await file.close()


async def test_a_look_that_is_observed_itself_delays_no_later_change(path: Path) -> None:
    """Transfers are told while the status is looked at; a round that ends then was told late."""
    looks = Looks()
    file = StatusFile(path, Recorder(), pause=0.01, refresh=3600)

    def look() -> dict[str, Any]:
        file.observe(ROUND)
        return looks()

    file.begin(look)
    await looks.next()
    file.touch()
    await looks.next()
    await file.close()


async def test_a_full_disk_costs_a_status_and_not_the_run(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise DiskFullError("status.json: No space left on device")

    monkeypatch.setattr(status, "write_json_atomic", refuse)
    looks = Looks()
    file = StatusFile(path, Recorder(), pause=0.01, refresh=0.01)
    file.begin(looks)
    for _ in range(3):
        await looks.next()
    await file.close()
    assert caplog.text.count("the status is not written") == 1, "told once"


def test_how_far_clients_are_is_told_where_it_has_changed() -> None:
    recorder = Recorder()
    teller = ProgressTeller(recorder)
    half, whole = ({"done": n, "total": 2, "unit": "bytes"} for n in (1, 2))
    steps = {"done": 1, "total": 2, "unit": "steps"}
    for a, b in ((half, None), (half, half), (whole, half), (None, steps), (whole, None)):
        teller.tell([{"name": "a", "progress": a}, {"name": "b", "progress": b}])
    told = [(o.data["client"], o.data["done"]) for o in recorder.all(Topic.CLIENT_PROGRESS)]
    assert told == [("a", 1), ("b", 1), ("a", 2), ("a", 2)]


@pytest.mark.parametrize(
    ("refresh", "least", "most"),
    [(5.0, 40 * 0.02, 2.5), (0.02, 0.04, 40 * 0.02)],
    ids=["by how long it takes", "but nobody takes the server for hung"],
)
async def test_a_look_that_takes_long_is_made_less_often(
    path: Path, refresh: float, least: float, most: float
) -> None:
    looks, loop = Looks(), asyncio.get_running_loop()
    slow, began = 0.02, []

    def look() -> dict[str, Any]:
        began.append(loop.time())
        while loop.time() < began[-1] + slow:  # at thousands of clients
            pass
        return looks()

    file = StatusFile(path, Recorder(), pause=0.01, refresh=refresh)
    file.begin(look)  # type: ignore[arg-type]
    await looks.next()
    file.touch()
    await looks.next()
    await file.close()
    assert least <= began[1] - began[0] <= most


@pytest.mark.parametrize(("clients", "lines"), [(200, True), (201, False)])
async def test_the_file_of_thousands_of_clients_is_not_set_out_for_people(
    path: Path, clients: int, lines: bool
) -> None:
    file = StatusFile(path, Recorder())
    file.begin(lambda: {"clients": [{"name": f"c{n}"} for n in range(clients)]})  # type: ignore[typeddict-item]
    await file.close()
    assert len(written(path)["clients"]) == clients
    assert (lines_of(path) > 1) is lines


async def test_a_look_that_fails_is_no_silent_end(path: Path) -> None:
    """What is wrong in the program is heard of where the loop's errors are."""
    heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: heard.put_nowait(context))
    file = StatusFile(path, Recorder(), pause=0.01, refresh=0.01)
    file.begin(failing)
    assert isinstance((await heard.get())["exception"], ZeroDivisionError)


def failing() -> dict[str, Any]:
    return {"no": 1 // 0}
