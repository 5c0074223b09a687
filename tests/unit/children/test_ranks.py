# SPDX-License-Identifier: Apache-2.0
"""A trainer in several processes: all are asked, one answers, and none outlives another's end."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from mmar_runner.children.process import ChildProcess
from mmar_runner.children.spec import ChildContext, ChildSpec
from mmar_runner.errors import TaskFailedError, TaskStalledError, TaskTimeoutError
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter

LAUNCHER = "mmar_runner.children.launcher"
#: Seconds within which killed processes are gone, on a machine that has other things to do.
SOON = 20.0


def spec_of(folder, processes=2, launcher=LAUNCHER, memory=None, stall=None, **args):
    return ChildSpec(
        "client_trainer",
        {"name": "EchoTrainer", "args": args},
        context=ChildContext("site-1", str(folder), str(folder), processes=processes),
        launcher=launcher,
        memory_limit_bytes=memory,
        stall_seconds=stall,
    )


def task(folder, number=0):
    if not (model := folder / "model").exists():
        with TensorWriter(model, [("a", "F32", (3,))], {}) as writer:
            writer.write("a", np.zeros(3, np.float32))
            writer.commit()
    for name in ("state", "new_state"):
        (folder / name).mkdir(exist_ok=True)
    paths = {name: str(folder / name) for name in ("model", "update", "state", "new_state")}
    return {"run_number": 1, "round": number, "num_rounds": 9, "seed": 7, **paths}


def working_in(folder):
    """Return what works in a folder: process id to command line."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and entry.joinpath("cwd").readlink() == folder:
                found[int(entry.name)] = entry.joinpath("cmdline").read_text().split("\0")
        except OSError:
            continue
    return {pid: words for pid, words in found.items() if words != [""]}


def ranks_in(folder):
    return [
        pid
        for pid, words in working_in(folder).items()
        if "-P" in words
        and any(word.endswith("rank_main") for word in words)
        and LAUNCHER not in words
    ]


def limits_of(pids):
    return [Path(f"/proc/{pid}/limits").read_text() for pid in pids]


def wait_until_gone(pids):
    descriptors = []
    for pid in pids:
        try:
            descriptors.append(os.pidfd_open(pid))
        except ProcessLookupError:
            continue
    for one in descriptors:
        assert select.select([one], [], [], SOON)[0], "a process is still there"
        os.close(one)


def run(spec, folder, scenario):
    """Start a child, play a scenario with it, and see that nothing is left of it."""

    async def whole():
        child = await ChildProcess.start(spec, log=folder / "log", timeout=60)
        pids = [*working_in(folder), child.pid]
        try:
            return await scenario(child)
        finally:
            await child.close()
            wait_until_gone(pids)
            assert working_in(folder) == {}

    return asyncio.run(whole())


def test_all_are_asked_and_the_first_ones_answer_counts(tmp_path):
    async def scenario(child):
        assert len(working_in(tmp_path)) == 2 + 3  # the child, the launcher, and its processes
        before = sorted(ranks_in(tmp_path))
        answers = [await child.request("train", task(tmp_path, number)) for number in range(2)]
        measured = await child.request("validate", {"model": str(tmp_path / "model")})
        assert sorted(ranks_in(tmp_path)) == before  # they stay from round to round
        return answers, measured

    answers, measured = run(spec_of(tmp_path, processes=3), tmp_path, scenario)
    assert (
        answers
        == [
            {
                "num_samples": 1.0,
                "metrics": {"constant": 1.0},
                "validation": {"val_first_value": 0.0},
                "kind": "weights",
            }
        ]
        * 2
    )
    assert measured == {"metrics": {"val_first_value": 0.0}}
    with TensorReader(tmp_path / "update") as update:
        assert update.read("a").tolist() == [1.0] * 3
    lines = (tmp_path / "log").read_text().splitlines()
    asked = [f"[rank {rank}] one of 3 is asked for round {n}" for rank in range(3) for n in (0, 1)]
    assert sorted(lines) == asked
    assert not (tmp_path / ".processes").exists()


def test_the_steps_of_the_first_one_are_told(tmp_path):
    steps = []

    async def scenario(child):
        await child.request("train", task(tmp_path), told=lambda *step: steps.append(step))

    run(spec_of(tmp_path, seconds=1.0, steps=2), tmp_path, scenario)
    assert set(steps) <= {(1, 2), (2, 2)}
    assert steps


@pytest.mark.parametrize(
    ("behaviour", "reason", "words", "line"),
    [
        ("raise", "TASK_FAILED", "RuntimeError: failing in round 1", "[rank 1] RuntimeError"),
        ("exit", "CHILD_DIED", "it ended before it answered", "rank 1 ended with code 3"),
    ],
)
def test_a_rank_that_fails_fails_the_task_and_the_next_one_runs(
    tmp_path, behaviour, reason, words, line
):
    async def scenario(child):
        await child.request("train", task(tmp_path, 0))
        before = ranks_in(tmp_path)
        with pytest.raises(TaskFailedError) as caught:
            await child.request("train", task(tmp_path, 1))
        await child.request("train", task(tmp_path, 2))
        assert not {*before} & {*ranks_in(tmp_path)}  # they were started anew, all of them
        return caught.value

    spec = spec_of(tmp_path, fail_in_round=1, fail_rank=1, behaviour=behaviour)
    error = run(spec, tmp_path, scenario)
    assert error.reason == reason
    assert error.message.startswith("rank 1 of 2 processes: ")
    assert words in error.message
    assert any(one.startswith(line) for one in error.log), error.log


def test_a_rank_that_is_killed_fails_the_task_while_the_others_wait_for_it(tmp_path):
    async def scenario(child):
        told = asyncio.Event()
        asked = asyncio.create_task(
            child.request("train", task(tmp_path), told=lambda *_: told.set())
        )
        await told.wait()
        os.kill(ranks_in(tmp_path)[-1], signal.SIGKILL)
        with pytest.raises(TaskFailedError, match=r"rank \d of 2 processes: it ended") as caught:
            await asked
        return caught.value

    error = run(spec_of(tmp_path, seconds=600, steps=6000), tmp_path, scenario)
    assert error.reason == "CHILD_DIED"
    assert any("ended with code -9" in line for line in error.log), error.log


def test_a_rank_that_ends_between_two_tasks_costs_none(tmp_path):
    async def scenario(child):
        await child.request("train", task(tmp_path, 0))
        victim = ranks_in(tmp_path)[0]
        gone = os.pidfd_open(victim)
        os.kill(victim, signal.SIGKILL)
        select.select([gone], [], [], SOON)
        os.close(gone)
        return await child.request("train", task(tmp_path, 1))

    assert run(spec_of(tmp_path), tmp_path, scenario)["num_samples"] == 1


def test_a_hanging_rank_outruns_the_tasks_limit(tmp_path):
    async def scenario(child):
        with pytest.raises(TaskTimeoutError):
            await child.request("train", task(tmp_path), timeout=1)

    run(spec_of(tmp_path, fail_in_round=0, fail_rank=1, behaviour="hang"), tmp_path, scenario)


def test_steps_that_stop_coming_end_the_task(tmp_path):
    async def scenario(child):
        def stop(*_):
            for pid in ranks_in(tmp_path):
                os.kill(pid, signal.SIGSTOP)

        with pytest.raises(TaskStalledError):
            await child.request("train", task(tmp_path), stall=1, told=stop)

    run(spec_of(tmp_path, seconds=600, steps=6000), tmp_path, scenario)


def test_each_process_has_the_memory_limit(tmp_path):
    limit = 3 << 30

    async def scenario(child):
        return limits_of(ranks_in(tmp_path))

    limits = run(spec_of(tmp_path, memory=limit), tmp_path, scenario)
    assert len(limits) == 2
    for text in limits:
        line = next(line for line in text.splitlines() if line.startswith("Max address space"))
        assert str(limit) in line


def test_a_launcher_that_is_not_there_says_so(tmp_path):
    with pytest.raises(
        TaskFailedError, match="what starts the trainer's processes has ended"
    ) as caught:
        run(spec_of(tmp_path, launcher="no.such.module"), tmp_path, None)
    assert any("no.such.module" in line or "No module named" in line for line in caught.value.log)


def test_a_trainer_that_cannot_be_built_says_so(tmp_path):
    with pytest.raises(TaskFailedError, match=r"rank . of 2 processes: .*'nonsense'"):
        run(spec_of(tmp_path, nonsense=1), tmp_path, None)


CLIENT = """
    import asyncio, sys
    sys.path.insert(0, {tests!r})
    from pathlib import Path
    from test_ranks import ChildProcess, spec_of, task

    async def main(folder):
        child = await ChildProcess.start(
            spec_of(folder, seconds=600, steps=6000), log=folder / "log")
        await child.request("train", task(folder), told=lambda *_: print("training", flush=True))

    asyncio.run(main(Path({folder!r})))
"""


def test_nothing_outlives_a_client_that_is_killed(tmp_path):
    text = textwrap.dedent(CLIENT).format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    with subprocess.Popen(
        [sys.executable, "-c", text], stdout=subprocess.PIPE, text=True
    ) as client:
        assert client.stdout.readline() == "training\n"
        pids = working_in(tmp_path)
        assert len(pids) == 4  # the child, its launcher, and the launcher's two
        client.kill()
        wait_until_gone(pids)
    assert working_in(tmp_path) == {}
