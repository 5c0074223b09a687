# SPDX-License-Identifier: Apache-2.0
"""The trainer in its child process: the site's limits, what the server hears, and who dies."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.children.process import ChildProcess
from mmar_runner.children.spec import ChildContext, ChildSpec
from mmar_runner.client.tasks.failure_words import failure_words
from mmar_runner.client.tasks.training import task_params
from mmar_runner.errors import TaskError, TaskFailedError, TaskTimeoutError
from mmar_runner.security.redaction import Redaction
from tests.unit.plugins_entry_points.starting import ends, task

#: Says who it is, and waits for ever; it opens a pipe so that a test knows.
WAITS = ["sh", "-c", "echo $$ > pid; echo begun > told; sleep 1000"]


def specification(package: Path, folder: Path, train: list[str], **more: Any) -> ChildSpec:
    workspace = folder / "workspace"
    workspace.mkdir()
    context = ChildContext("site-1", str(package), str(workspace), commands=True)
    component = {"name": "EntryPointTrainer", "args": {"train": {"command": train}}}
    return ChildSpec(role="client_trainer", component=component, context=context, **more)


async def asked(
    spec: ChildSpec, folder: Path, model: Path, *, timeout: float | None = None
) -> TaskError:
    """Have a round trained, and return how it failed."""
    child = await ChildProcess.start(spec, log=folder / "log")
    params = task_params(task(folder / "round", model))
    try:
        with pytest.raises(TaskError) as caught:
            await child.request("train", params, timeout=timeout)
        return caught.value
    finally:
        await child.close()


def failing(package: Path, folder: Path, model: Path) -> TaskError:
    source = "echo patient 4711 >&2; exit 3"
    return asyncio.run(asked(specification(package, folder, ["sh", "-c", source]), folder, model))


def test_a_failure_holds_what_the_command_printed(package, tmp_path, model):
    error = failing(package, tmp_path, model)
    assert isinstance(error, TaskFailedError)
    assert error.message == "the entry point train ended with exit code 3: patient 4711"
    assert "patient 4711" in error.log
    assert str(tmp_path / "log") in error.hint


def test_the_server_hears_of_it_as_much_as_the_site_lets_through(package, tmp_path, model):
    error = failing(package, tmp_path, model)
    everything = failure_words(error, Redaction.NOTHING, package)
    assert "patient 4711" in everything.log
    hidden = failure_words(error, Redaction.EVERYTHING, package)
    assert "4711" not in hidden.message
    assert not hidden.log
    values = failure_words(error, Redaction.VALUES, package)
    assert "4711" not in " ".join([values.message, *values.log])


def test_the_sites_limit_of_time_counts_if_it_is_shorter(package, tmp_path, model):
    os.mkfifo(package / "told")
    spec = specification(package, tmp_path, WAITS)

    async def scenario() -> TaskError:
        work = asyncio.create_task(asked(spec, tmp_path, model, timeout=4))
        assert await asyncio.to_thread((package / "told").read_text) == "begun\n"
        return await work

    assert isinstance(asyncio.run(scenario()), TaskTimeoutError)
    assert ends(int((package / "pid").read_text()))


def test_the_sites_limit_of_memory_counts_if_it_is_smaller(package, tmp_path, model):
    limited = specification(package, tmp_path, ["sh", "-c", "ulimit -v; exit 1"])
    limit = 1_500_000_000
    spec = specification_with(limited, memory_limit_bytes=limit)
    error = asyncio.run(asked(spec, tmp_path, model))
    assert error.message.endswith(f"exit code 1: {limit // 1024}")


def specification_with(spec: ChildSpec, **more: Any) -> ChildSpec:
    return ChildSpec(**{**spec.to_json(), "context": spec.context, **more})


def test_a_task_that_is_given_up_takes_its_command_along(package, tmp_path, model):
    os.mkfifo(package / "told")
    spec = specification(package, tmp_path, WAITS)

    async def scenario() -> None:
        child = await ChildProcess.start(spec, log=tmp_path / "log")
        params = task_params(task(tmp_path / "round", model))
        work = asyncio.create_task(child.request("train", params))
        assert await asyncio.to_thread((package / "told").read_text) == "begun\n"
        await child.close()  # while it works: it is killed at once
        with pytest.raises(TaskError):
            await work

    asyncio.run(scenario())
    assert ends(int((package / "pid").read_text()))


def test_where_the_runner_did_not_say_so_the_child_refuses(package, tmp_path):
    spec = specification(package, tmp_path, ["touch", "made"])
    silent = ChildContext("site-1", str(package), spec.context.workspace)
    refusing = specification_with(spec, context=silent)
    with pytest.raises(TaskFailedError) as caught:
        asyncio.run(ChildProcess.start(refusing, log=tmp_path / "log"))
    assert caught.value.reason == "BYOC_NOT_ALLOWED"
    assert not (package / "made").exists()
