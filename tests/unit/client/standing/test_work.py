# SPDX-License-Identifier: Apache-2.0
"""What a standing client begins to work for: the run that is meant, and no other."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from mmar_runner.client.standing.requests import Requests
from mmar_runner.client.standing.state import StandingState
from mmar_runner.client.standing.work import StandingWork
from mmar_runner.errors import OrderError


class Begun(StandingWork):
    """One whose sessions are only noted."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.begun: list[int] = []

    async def _begin(self, processes: int | None) -> Any:
        del processes
        self.begun.append(self.state.run_number)
        return SimpleNamespace(processes=1, launcher=None)


def work_at(tmp_path) -> Begun:
    settings: Any = SimpleNamespace(workspace=tmp_path)
    observer: Any = None
    plugins: Any = None
    return Begun(settings, plugins, observer)


def deployed(tmp_path, number: int) -> Begun:
    StandingState("echo", "ab" * 32, number).save(tmp_path)
    return work_at(tmp_path)


@pytest.mark.parametrize("meant", [5, None])
async def test_what_is_deployed_is_begun(tmp_path, meant):
    work = deployed(tmp_path, 5)
    assert await work.start(meant) == {"message": "works for run 5"}
    assert work.begun == [5]


async def test_another_run_than_the_one_that_is_meant_is_not_begun(tmp_path):
    work = deployed(tmp_path, 5)
    with pytest.raises(OrderError, match="for run 6: it has echo for run 5") as caught:
        await work.start(6)
    assert (caught.value.reason, work.begun) == ("NOT_DEPLOYED", [])


@pytest.mark.parametrize("meant", [5, None])
async def test_nothing_is_begun_where_nothing_is_deployed(tmp_path, meant):
    with pytest.raises(OrderError, match=r"nothing is deployed at this client$"):
        await work_at(tmp_path).start(meant)


@pytest.mark.parametrize(("words", "arguments"), [("start", {}), ("start_mgpu", {"N": 2})])
async def test_an_order_says_which_run_is_meant(tmp_path, words, arguments):
    work = deployed(tmp_path, 5)
    requests = Requests(*_anything(), work, *_anything())
    call: Any = SimpleNamespace(spec=SimpleNamespace(name=words), arguments=arguments)
    with pytest.raises(OrderError, match="for run 6"):
        await requests._done(call, {"run_number": 6})
    await requests._done(call, {"run_number": 5})
    assert work.begun == [5]


async def test_a_session_for_an_earlier_run_makes_way_for_what_is_deployed(tmp_path, monkeypatch):
    monkeypatch.setattr("mmar_runner.client.standing.work.MAKE_WAY_SECONDS", 0.01)
    work = deployed(tmp_path, 5)
    work._session = asyncio.create_task(_until(work._stop))
    await work.make_way(5)
    assert work.is_working
    await work.make_way(6)
    assert not work.is_working


async def _until(stop: asyncio.Event) -> None:
    await stop.wait()


def _anything() -> tuple[Any]:
    return (SimpleNamespace(),)
