# SPDX-License-Identifier: Apache-2.0
"""Real child processes: they answer, they fail, they die, and nobody else does."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import pytest

from mmar_runner.children.process import ChildProcess, describe_exit
from mmar_runner.children.results import read_result
from mmar_runner.children.spec import ChildContext, ChildSpec, child_environment
from mmar_runner.errors import ChildDiedError, TaskFailedError, TaskTimeoutError

PLUGINS = Path(__file__).parent / "plugins"


def spec_of(folder, mood="well", value=1.0, **fields):
    context = ChildContext("site-1", mmar=str(folder), workspace=str(folder))
    component = {"name": "Moody", "args": {"mood": mood, "value": value}}
    return ChildSpec(
        role="client_trainer",
        component=component,
        context=context,
        plugins_dir=str(PLUGINS),
        **fields,
    )


def task(folder):
    paths = {name: str(folder / name) for name in ("model", "update", "state", "new_state")}
    return {"run_number": 1, "round": 0, "num_rounds": 2, "seed": 7, **paths}


async def outcome(folder, mood, *, value=1.0, timeout=None, **fields):
    """Train once in a child of that mood; return the answer or the error."""
    child = await ChildProcess.start(spec_of(folder, mood, value, **fields), log=folder / "log")
    try:
        return await child.request("train", task(folder), timeout=timeout)
    finally:
        await child.close()


def test_a_task_is_answered_and_output_goes_to_the_log(tmp_path):
    answer = asyncio.run(outcome(tmp_path, "well", value=12))
    assert answer == {
        "num_samples": 12.0,
        "metrics": {"loss": 12.0},
        "validation": {},
        "kind": "weights",
    }
    assert "set up site-1" in (tmp_path / "log").read_text()
    assert (tmp_path / "site-1.closed").exists()


def test_an_exception_is_a_failed_task_with_its_traceback(tmp_path):
    async def scenario():
        child = await ChildProcess.start(spec_of(tmp_path, "raise"), log=tmp_path / "log")
        with pytest.raises(
            TaskFailedError, match=r"RuntimeError: the optimizer diverged"
        ) as caught:
            await child.request("train", task(tmp_path))
        assert "in _raise" in caught.value.details
        alive = await child.request("validate", {"model": "m"})
        await child.close()
        return alive

    assert asyncio.run(scenario())["metrics"]["threads"] == 1


@pytest.mark.parametrize("mood", ["raise", "mute"])
def test_the_traceback_is_in_the_childs_log_and_the_error_names_that(tmp_path, mood):
    """The log was empty: the traceback went to the parent alone, which showed it to nobody."""
    log = tmp_path / "log"
    with pytest.raises(TaskFailedError) as caught:
        asyncio.run(outcome(tmp_path, mood))
    kept = log.read_text()
    assert "train, round 0 failed:\nTraceback (most recent call last):" in kept
    assert "in _raise" in kept
    assert kept.count("RuntimeError: the optimizer diverged") == 1
    assert caught.value.hint == f"the traceback is in {log}"
    assert "in _raise" in "".join(traceback.format_exception(caught.value))


def test_a_component_that_cannot_be_built_leaves_its_traceback_too(tmp_path):
    with pytest.raises(TaskFailedError, match="ValueError: not today") as caught:
        asyncio.run(outcome(tmp_path, "refuse"))
    assert "ValueError: not today" in (tmp_path / "log").read_text()
    assert str(tmp_path / "log") in caught.value.hint


@pytest.mark.parametrize(
    ("mood", "words"),
    [
        ("exit", "exit code 3"),
        ("fork", "exit code 5"),
        ("daemon", "exit code 5"),
        ("abort", "SIGABRT"),
        ("killed", "SIGKILL, perhaps because memory ran out"),
    ],
)
def test_a_dead_child_is_reported_with_its_end(tmp_path, mood, words):
    with pytest.raises(ChildDiedError, match=words) as caught:
        asyncio.run(outcome(tmp_path, mood))
    assert str(tmp_path / "log") in caught.value.hint


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "{}",
        "[" * 2000,
        '{"id": 99, "result": {}}',
        '{"id": 2, "step": ["a", 1e999]}',
        '{"id": 2, "error": {"message": 1}}',
    ],
)
def test_a_child_that_writes_what_is_no_answer_is_ended_with_its_group(tmp_path, line):
    """It waited for ever once: the listener had died of the line, and nobody of the child."""

    async def scenario():
        child = await ChildProcess.start(spec_of(tmp_path, "forge", line), log=tmp_path / "log")
        with pytest.raises(ChildDiedError, match="control socket carried"):
            await child.request("train", task(tmp_path))
        with pytest.raises(ProcessLookupError):
            os.killpg(child.pid, 0)
        await child.close()

    asyncio.run(scenario())


def test_a_forged_result_is_a_failed_task(tmp_path):
    forged = '{"id": 2, "result": {"num_samples": 1e999, "metrics": {}, "validation": {}}}'

    async def scenario():
        child = await ChildProcess.start(spec_of(tmp_path, "forge", forged), log=tmp_path / "log")
        answer = await child.request("train", task(tmp_path))
        await child.close()
        return read_result(answer)

    with pytest.raises(TaskFailedError, match="kind None"):
        asyncio.run(scenario())


def test_a_component_that_cannot_be_built_is_named(tmp_path):
    with pytest.raises(TaskFailedError, match=r"Moody.*not today") as caught:
        asyncio.run(outcome(tmp_path, "refuse"))
    assert caught.value.reason == "COMPONENT_BUILD"


def test_an_impossible_result_is_a_failed_task(tmp_path):
    with pytest.raises(TaskFailedError, match="num_samples is -1; it must be positive"):
        asyncio.run(outcome(tmp_path, "well", value=-1))


def test_a_memory_limit_fails_the_task_and_not_the_child(tmp_path):
    limit = 4 << 30
    with pytest.raises(TaskFailedError, match="MemoryError") as caught:
        asyncio.run(outcome(tmp_path, "memory", memory_limit_bytes=limit))
    assert "memory limit" in caught.value.hint


def test_a_timeout_kills_the_whole_process_group(tmp_path):
    async def scenario():
        child = await ChildProcess.start(spec_of(tmp_path, "spawn"), log=tmp_path / "log")
        request = asyncio.create_task(child.request("train", task(tmp_path), timeout=1.5))
        helper = int(await appears(tmp_path / "helper"))
        with pytest.raises(TaskTimeoutError, match=r"train did not end within 1\.5 seconds"):
            await request
        assert not child.alive
        assert await gone(helper)
        with pytest.raises(ChildDiedError):
            await child.request("train", task(tmp_path))

    asyncio.run(scenario())


def test_closing_kills_what_the_trainer_left_behind(tmp_path):
    asyncio.run(outcome(tmp_path, "leave"))
    assert asyncio.run(gone(int((tmp_path / "helper").read_text())))


def test_closing_does_not_wait_for_work_nobody_waits_for(tmp_path):
    async def scenario():
        child = await ChildProcess.start(spec_of(tmp_path, "hang"), log=tmp_path / "log")
        request = asyncio.create_task(child.request("train", task(tmp_path)))
        await appears(tmp_path / "hanging")
        request.cancel()
        started = time.monotonic()
        await child.close(grace=30)
        return time.monotonic() - started

    assert asyncio.run(scenario()) < 5


PARENT = """
import asyncio, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_child_process import ChildProcess, spec_of, task
async def main():
    folder = Path({folder!r})
    child = await ChildProcess.start(spec_of(folder, {mood!r}), log=folder / "log")
    print(child.pid, flush=True)
    await child.request("train", task(folder))
asyncio.run(main())
"""


@pytest.mark.parametrize("mood", ["hang", "greedy", "spawn"])
def test_a_child_dies_with_its_parent_even_in_native_code(tmp_path, mood):
    source = PARENT.format(tests=str(Path(__file__).parent), folder=str(tmp_path), mood=mood)
    parent = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    sign = tmp_path / ("helper" if mood == "spawn" else "hanging")
    text = asyncio.run(appears(sign))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert asyncio.run(gone(child))
    if mood == "spawn":
        assert asyncio.run(gone(int(text)))


def test_one_child_hosts_the_trainers_of_several_clients(tmp_path):
    async def scenario():
        spec = ChildSpec(role="client_trainer", plugins_dir=str(PLUGINS))
        child = await ChildProcess.start(spec, log=tmp_path / "log")
        for client, value in (("site-1", 1.0), ("site-2", 2.0)):
            declaration = {"name": "Moody", "args": {"value": value}}
            context = {"client_name": client, "mmar": "m", "workspace": str(tmp_path)}
            await child.request(
                "setup", {"client": client, "component": declaration, "context": context}
            )
        answers = [
            await child.request("train", {**task(tmp_path), "client": client})
            for client in ("site-2", "site-1")
        ]
        with pytest.raises(TaskFailedError, match="'site-3'"):
            await child.request("train", {**task(tmp_path), "client": "site-3"})
        await child.close()
        return [answer["num_samples"] for answer in answers]

    assert asyncio.run(scenario()) == [2.0, 1.0]
    assert (tmp_path / "site-2.closed").exists()


def test_an_idle_child_answers_within_a_millisecond(tmp_path):
    async def scenario():
        child = await ChildProcess.start(spec_of(tmp_path), log=tmp_path / "log")
        seconds = []
        for _ in range(50):
            began = time.perf_counter()
            stats = await child.request("stats", {})
            seconds.append(time.perf_counter() - began)
        await child.close()
        return min(seconds), stats["peak_rss_bytes"]

    fastest, peak = asyncio.run(scenario())
    assert fastest < 0.001
    assert peak < 64 * 1024 * 1024


def test_the_environment_is_small_and_fixes_threads():
    parent = {"PATH": "/bin", "SECRET_TOKEN": "x", "OMP_NUM_THREADS": "64"}
    environment = child_environment(ChildSpec(role="filter", threads=3), parent)
    assert environment["PATH"] == "/bin"
    assert environment["OMP_NUM_THREADS"] == environment["MKL_NUM_THREADS"] == "3"
    assert "SECRET_TOKEN" not in environment


def test_a_specification_survives_json(tmp_path):
    spec = spec_of(tmp_path, threads=2, memory_limit_bytes=1)
    assert ChildSpec.from_json(spec.to_json()) == spec


async def appears(path):
    """Return the text of a file as soon as it is there."""
    async with asyncio.timeout(20):
        while not path.exists():  # noqa: ASYNC110 - written by another process
            await asyncio.sleep(0.01)
    return path.read_text()


async def gone(pid):
    """Return True once no process has that id (a zombie counts as gone)."""
    async with asyncio.timeout(10):
        while _running(pid):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)
    return True


def _running(pid):
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"


def test_signal_names_are_words():
    assert describe_exit(-signal.SIGSEGV) == "the child process was ended by SIGSEGV"
    assert describe_exit(-40) == "the child process was ended by signal 40"
