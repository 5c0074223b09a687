# SPDX-License-Identifier: Apache-2.0
"""Runs that wait: each begins once, in order, whenever the server dies in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mmar_runner.admin.runs.federation_state import QueuedRun, RunEntry, StateFile
from mmar_runner.admin.runs.handing_on import HandingOn
from mmar_runner.admin.runs.run_desk import RunDesk
from mmar_runner.admin.runs.run_queue import RunQueue
from mmar_runner.errors import NotAuthorizedError, OrderError
from mmar_runner.interfaces.admin_event import Missing
from mmar_runner.interfaces.server_operations import Gathered
from mmar_runner.orders.typed import LARGEST
from mmar_runner.server.records.workspace import Workspace


class Killed(BaseException):
    """The process ends here."""


class DyingFile(StateFile):
    """A state file whose process ends at one of its writes.

    Args:
        workspace: Where it lies.
        writes: After how many; None for never.
        written: Whether the last one still reaches the disk.
    """

    def __init__(self, workspace: Path, writes: int | None = None, *, written: bool = True) -> None:
        super().__init__(workspace)
        self._left = writes
        self._written = written

    def save(self) -> None:
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                if self._written:
                    super().save()
                raise Killed
        super().save()


class Run:
    """A run that is over when the test says so."""

    def __init__(self, _premises: Any, _taken: Any, _folder: Any) -> None:
        self.parts: Any = SimpleNamespace()
        self.outcome = None
        self.goes_on_later = False
        self.ends = asyncio.Event()
        self.task = asyncio.create_task(self._serve())

    @property
    def is_over(self) -> bool:
        return self.task.done()

    async def joinable(self) -> Any:
        return self.parts

    async def stop(self, reason: str) -> None:
        self.goes_on_later = True
        self.ends.set()
        await self.over()

    async def over(self, *, within: float | None = None) -> None:
        await asyncio.wait({self.task}, timeout=within)

    async def _serve(self) -> None:
        await self.ends.wait()
        self.parts = None


class Desk(RunDesk):
    """A desk whose runs are over when the test says so.

    Attributes:
        begun: The number and MMAR of every run that was started.
    """

    def __init__(self, kept: StateFile, workspace: Path) -> None:
        premises: Any = SimpleNamespace(workspace=Workspace(workspace), observer=None)
        intake: Any = SimpleNamespace(take=lambda folder: taken_in(folder.name))
        super().__init__(premises, intake, kept, lambda *_: None, open_run=self._opened)
        self.begun: list[tuple[int, str]] = []
        self.opened: Any = None

    def _opened(self, premises: Any, taken: Any, folder: Any) -> Any:
        entry = self.state.runs[folder.number]
        self.begun.append((entry.number, entry.mmar))
        self.opened = Run(premises, taken, folder)
        return self.opened

    def _take_up(self, taken: Any, entry: RunEntry) -> None:
        self._taken, self._taken_for = taken, entry.number


async def until(condition: Callable[[], bool]) -> None:
    """Let the others work until something is true."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.001)


def taken_in(name: str) -> Any:
    return SimpleNamespace(digest=digest(name), deployment=SimpleNamespace(refusals={}))


def digest(name: str) -> str:
    return name.encode().hex().ljust(64, "0")


def queued(name: str, *clients: str) -> QueuedRun:
    at = "2026-01-01T00:00:00Z"
    return QueuedRun(name, digest(name), "ann@a.org", "a.org", list(clients), "b3JkZXI=", at)


class Server:
    """One process of a server with a queue."""

    def __init__(self, workspace: Path, kept: StateFile | None = None) -> None:
        self.kept = kept or StateFile(workspace)
        self.desk = Desk(self.kept, workspace)
        self.there = {name: digest(name) for name in ("one", "two", "three")}
        transfers: Any = SimpleNamespace(
            path_of=lambda name: workspace / "transfer" / name, digest_of=self.there.get
        )
        nobody: Any = None
        self.queue = RunQueue(self.desk, transfers, nobody, nobody, nobody)
        self.refused: dict[str, NotAuthorizedError] = {}
        self.queue._judge = self.judge  # type: ignore[method-assign]

    def judge(self, one: QueuedRun) -> None:
        if (error := self.refused.get(one.mmar)) is not None:
            raise error

    async def finish(self) -> None:
        """Let the open run end."""
        self.desk.opened.ends.set()
        await asyncio.wait({self.desk._following})


async def test_runs_begin_one_after_the_other(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.kept.state.queue += [queued("one"), queued("two")]
    work = asyncio.create_task(server.queue.work())
    await until(lambda: bool(server.desk.begun))
    await asyncio.sleep(0.01)
    assert server.desk.begun == [(1, "one")]
    assert [one.mmar for one in server.kept.state.queue] == ["two"]
    await server.finish()
    await until(lambda: len(server.desk.begun) == 2)
    assert server.desk.begun == [(1, "one"), (2, "two")]
    work.cancel()
    with suppress(asyncio.CancelledError):
        await work
    await server.finish()


async def test_numbers_are_above_every_folder(tmp_path: Path) -> None:
    (tmp_path / "run_7").mkdir()
    server = Server(tmp_path)
    server.kept.state.runs[9] = RunEntry(9, "ann@a.org", "a.org")
    server.kept.state.queue.append(queued("one"))
    await server.queue.look()
    assert server.desk.begun == [(10, "one")]
    entry = server.kept.state.runs[10]
    assert (entry.owner, entry.org, entry.order) == ("ann@a.org", "a.org", "b3JkZXI=")
    await server.finish()


async def test_a_number_that_nobody_could_type_is_given_to_no_run(tmp_path: Path) -> None:
    """Whoever takes the highest leaves the others numbers by which they reach their runs."""
    server = Server(tmp_path)
    (tmp_path / "run_2").mkdir()
    state = server.kept.state
    state.runs[LARGEST] = RunEntry(LARGEST, "bob@b.org", "b.org")
    state.runs[1] = RunEntry(1, "ann@a.org", "a.org")
    state.queue.append(queued("one"))
    await server.queue.look()
    assert server.desk.begun == [(3, "one")]
    await server.finish()


async def test_a_run_that_was_not_meant_is_neither_deployed_for_nor_started(
    tmp_path: Path,
) -> None:
    """Who may work on a run was judged before: meanwhile another may have been set."""
    server = Server(tmp_path)
    state, desk = server.kept.state, server.desk
    state.runs = {number: RunEntry(number, "ann@a.org", "a.org") for number in (1, 2)}
    state.run_number = 2
    for act in (desk.deploy(tmp_path / "one", number=1), desk.start(number=1)):
        with pytest.raises(OrderError) as refused:
            await act
        assert refused.value.reason == "RUN_DIFFERS"
    assert state.runs[2].mmar == ""
    assert desk.begun == []
    await desk.deploy(tmp_path / "one", number=2)
    await desk.start(number=2)
    assert desk.begun == [(2, "one")]
    await server.finish()


@pytest.mark.parametrize("written", [True, False])
@pytest.mark.parametrize("writes", [0, 1, 2, None])
async def test_whoever_dies_in_between_goes_on_with_the_same_run(
    tmp_path: Path, writes: int | None, written: bool
) -> None:
    first = StateFile(tmp_path)
    first.state.queue += [queued("one"), queued("two")]
    first.save()
    dying = Server(tmp_path, DyingFile(tmp_path, writes, written=written))
    died = False
    try:
        await dying.queue.look()
    except Killed:
        died = True
    assert died == (writes is not None)  # numbered, deployed, started

    again = Server(tmp_path)
    entry = again.kept.state.current
    if entry is not None and entry.started:  # the office goes on with it
        await again.desk.start()
    await again.queue.look()
    assert again.desk.begun == [(1, "one")]
    await again.finish()
    await again.queue.look()
    assert again.desk.begun == [(1, "one"), (2, "two")]
    assert again.kept.state.queue == []
    assert again.kept.state.failed == []
    await again.finish()
    if not died:
        await dying.finish()


async def test_what_cannot_begin_is_told_and_the_next_is_tried(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.refused["one"] = NotAuthorizedError("no\x1b[2J", reason="RULE")
    server.there.pop("one")
    changed = queued("two")
    changed.digest = "f" * 64
    server.kept.state.queue += [queued("one"), changed, queued("three")]
    await server.queue.look()
    assert server.desk.begun == [(1, "three")]
    failed = StateFile(tmp_path).state.failed
    assert [(one.mmar, one.reason) for one in failed] == [("one", "RULE"), ("two", "MMAR_CHANGED")]
    assert "\x1b" not in failed[0].message
    await server.finish()


async def test_a_run_that_was_stopped_keeps_the_queue_waiting(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.kept.state.queue += [queued("one"), queued("two")]
    await server.queue.look()
    stopping = asyncio.create_task(server.desk.stop("ann stopped it"))
    await asyncio.sleep(0)
    await server.finish()
    await stopping
    await server.queue.look()
    assert server.desk.begun == [(1, "one")]
    assert StateFile(tmp_path).state.paused
    server.kept.state.paused = False
    await server.queue.look()
    assert server.desk.begun[1:] == [(2, "two")]
    await server.finish()


async def test_nobody_else_starts_or_chooses_meanwhile(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.kept.state.runs[5] = RunEntry(5, "bob@b.org", "b.org", mmar="x", digest="d" * 64)
    server.kept.state.run_number = 5
    async with server.desk.reserved() as free:
        assert free
        with pytest.raises(OrderError) as caught:
            await server.desk.start()
        assert caught.value.reason == "RUN_OPEN"
        with pytest.raises(OrderError):
            server.desk.require_idle("nothing is chosen")
    server.desk.require_idle("nothing is chosen")


class Hub:
    """Clients that come when the test says so, and answer as it says."""

    def __init__(self) -> None:
        self.listeners: list[Any] = []
        self.changes = asyncio.Event()
        self.asked: list[tuple[str, bytes, dict[str, Any]]] = []
        self.answers: dict[str, str] = {}

    def come(self, name: str) -> None:
        self.listeners.append(SimpleNamespace(name=name))
        changed, self.changes = self.changes, asyncio.Event()
        changed.set()

    async def ask(self, names: list[str], order: bytes, facts: Any, _seconds: float) -> Gathered:
        [name] = names
        self.asked.append((name, order, facts))
        if reason := self.answers.get(name):
            return Gathered(missing=[Missing(name, reason, "no")])
        return Gathered({name: {"message": "done"}})


async def test_the_order_reaches_clients_as_they_come_and_once(tmp_path: Path) -> None:
    server, hub = Server(tmp_path), Hub()
    handing = asyncio.create_task(HandingOn(server.desk, hub).work())  # type: ignore[arg-type]
    hub.come("site-1")
    hub.come("site-9")
    hub.answers["site-2"] = "BYOC_NOT_ALLOWED"
    server.kept.state.queue.append(queued("one", "site-1", "site-2", "site-3"))
    await server.queue.look()
    entry = server.kept.state.runs[1]
    await until(lambda: "site-1" in entry.clients)
    hub.come("site-2")
    await until(lambda: "site-2" in entry.clients)
    hub.answers["site-3"] = "LEFT"
    hub.come("site-3")
    await until(lambda: len(hub.asked) == 3)
    await asyncio.sleep(0.01)
    assert "site-3" not in entry.clients
    del hub.answers["site-3"]
    hub.come("site-3")
    await until(lambda: "site-3" in entry.clients)
    assert [name for name, *_ in hub.asked] == ["site-1", "site-2", "site-3", "site-3"]
    assert hub.asked[0][1:] == (b"order", {"run_number": 1})
    assert entry.clients == {"site-1": "", "site-2": "BYOC_NOT_ALLOWED", "site-3": ""}
    handing.cancel()
    with suppress(asyncio.CancelledError):
        await handing
    await server.finish()
