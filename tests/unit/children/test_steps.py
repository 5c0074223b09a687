# SPDX-License-Identifier: Apache-2.0
"""A child tells of its steps, and is ended when they stop coming."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.children.process import ChildProcess
from mmar_runner.children.spec import ChildContext, ChildSpec
from mmar_runner.children.step_watch import StepWatch
from mmar_runner.errors import TaskFailedError, TaskStalledError, TaskTimeoutError

PLUGINS = Path(__file__).parent / "plugins"


def spec_of(folder: Path, mood: str) -> ChildSpec:
    context = ChildContext("site-1", mmar=str(folder), workspace=str(folder))
    component = {"name": "Moody", "args": {"mood": mood}}
    return ChildSpec("client_trainer", component, context, plugins_dir=str(PLUGINS))


def task(folder: Path) -> dict[str, Any]:
    paths = {name: str(folder / name) for name in ("model", "update", "state", "new_state")}
    return {"run_number": 1, "round": 0, "num_rounds": 2, "seed": 7, **paths}


async def steps_of(folder: Path, mood: str, **limits: Any) -> list[tuple[int, int]]:
    """Train once in a child of that mood and return the steps that were heard of."""
    steps: list[tuple[int, int]] = []
    child = await ChildProcess.start(spec_of(folder, mood), log=folder / "log")
    try:
        await child.request("train", task(folder), told=lambda *step: steps.append(step), **limits)
    finally:
        await child.close()
    return steps


async def test_steps_are_heard_of(tmp_path: Path) -> None:
    assert await steps_of(tmp_path, "steps") == [(1, 3), (2, 3), (3, 3)]


async def test_whoever_makes_steps_may_take_longer_than_a_step(tmp_path: Path) -> None:
    assert len(await steps_of(tmp_path, "steps", stall=0.8)) == 3


async def test_many_steps_are_passed_on_now_and_then(tmp_path: Path) -> None:
    assert 1 <= len(await steps_of(tmp_path, "flood")) < 100


async def test_a_task_whose_steps_stop_coming_is_ended_with_its_process(tmp_path: Path) -> None:
    child = await ChildProcess.start(spec_of(tmp_path, "stall"), log=tmp_path / "log")
    with pytest.raises(TaskStalledError, match=r"no further step for 0\.5 seconds") as caught:
        await child.request("train", task(tmp_path), stall=0.5)
    assert caught.value.reason == "TASK_STALLED"
    assert not child.alive


async def test_a_trainer_that_never_told_of_a_step_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(TaskTimeoutError):
        await steps_of(tmp_path, "hang", stall=0.2, timeout=1.0)


async def test_once_it_has_told_of_steps_the_next_task_is_watched_from_its_beginning(
    tmp_path: Path,
) -> None:
    child = await ChildProcess.start(spec_of(tmp_path, "steps"), log=tmp_path / "log")
    await child.request("train", task(tmp_path), stall=5.0)
    os.kill(child.pid, signal.SIGSTOP)  # it makes no step at all any more
    with pytest.raises(TaskStalledError):
        await child.request("train", task(tmp_path), stall=0.5)
    assert not child.alive


async def test_steps_are_whole_numbers(tmp_path: Path) -> None:
    with pytest.raises(TaskFailedError, match="TypeError"):
        await steps_of(tmp_path, "words")


async def test_a_process_that_was_stopped_itself_gives_its_child_another_chance() -> None:
    """The steps of that time may lie in the socket, unread."""
    stalled = asyncio.Event()
    watch = StepWatch(None, 0.2, stalled.set)
    watch.begin()
    time.sleep(1.5)  # noqa: ASYNC251 - as a stopped process: its loop does not run
    await asyncio.sleep(0.1)
    assert not stalled.is_set()
    async with asyncio.timeout(5):
        await stalled.wait()
