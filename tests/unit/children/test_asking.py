# SPDX-License-Identifier: Apache-2.0
"""A child asks its parent something before it answers; and filters that send whole numbers."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mmar_runner.children.process import ChildProcess
from mmar_runner.children.spec import ChildSpec
from mmar_runner.errors import ChildDiedError, RefusedError, TaskFailedError

PLUGINS = Path(__file__).parent / "plugins"


@pytest.fixture
def params(tmp_path):
    save_file({"a": np.full((2, 2), 0.5, np.float32)}, tmp_path / "in.safetensors")
    save_file({"a": np.full((2, 2), 0.25, np.float32)}, tmp_path / "model.safetensors")
    (tmp_path / "ledger" / "Asks").mkdir(parents=True)
    context = {"client_name": "site-1", "round": 3, "kind": "weights", "seed": 1}
    return {
        "source": str(tmp_path / "in.safetensors"),
        "destination": str(tmp_path / "out.safetensors"),
        "received": str(tmp_path / "model.safetensors"),
        "context": {**context, "ledger": str(tmp_path / "ledger")},
    }


async def started(folder, *names):
    chain = {"filters": [{"name": name} for name in names]}
    spec = ChildSpec(role="filter", component=chain, plugins_dir=str(PLUGINS))
    return await ChildProcess.start(spec, log=folder / "log")


def payload(value):
    return {"payload": base64.b64encode(value).decode()}


async def test_a_filter_is_told_what_it_asks_for(tmp_path, params):
    heard = []

    async def tell(question):
        heard.append((question["topic"], question["phase"], base64.b64decode(question["payload"])))
        return payload(b"20" if question["phase"] == "one" else b"3")

    child = await started(tmp_path, "Asks")
    try:
        answer = await child.request("filter", params, asked=tell)
        assert answer["settles"] is True
        await child.request("settle", {"context": params["context"]}, asked=tell)
    finally:
        await child.close()
    assert heard == [
        ("numbers", "one", b"1"),
        ("numbers", "two", b"20"),
        ("numbers", "three", b"3"),
    ]
    assert load_file(params["destination"])["a"].tolist() == [[23.5, 23.5], [23.5, 23.5]]
    assert (tmp_path / "ledger" / "Asks" / "settled").read_bytes() == b"3"


async def test_what_the_parent_is_refused_fails_the_task_with_that_reason(tmp_path, params):
    async def tell(_question):
        raise RefusedError("the others have gone on", reason="EXCHANGE_OVER")

    child = await started(tmp_path, "Asks")
    try:
        with pytest.raises(TaskFailedError, match="the others have gone on") as caught:
            await child.request("filter", params, asked=tell)
        assert caught.value.reason == "EXCHANGE_OVER"
        assert child.alive
    finally:
        await child.close()


async def test_requests_that_wait_behind_a_question_are_answered_after_it(tmp_path, params):
    reached = asyncio.Event()
    go_on = asyncio.Event()

    async def tell(_question):
        reached.set()
        await go_on.wait()
        return payload(b"1")

    child = await started(tmp_path, "Asks")
    try:
        asking = asyncio.create_task(child.request("filter", params, asked=tell))
        await reached.wait()
        waiting = asyncio.create_task(child.request("stats", {}))
        await asyncio.sleep(0)
        go_on.set()
        await asking
        assert (await waiting)["peak_rss_bytes"] > 0
    finally:
        await child.close()


async def test_whoever_gives_up_waiting_frees_the_child(tmp_path, params):
    reached = asyncio.Event()

    async def tell(_question):
        reached.set()
        await asyncio.Event().wait()
        return {}

    child = await started(tmp_path, "Asks")
    try:
        asking = asyncio.create_task(child.request("filter", params, asked=tell))
        await reached.wait()
        asking.cancel()
        assert (await child.request("stats", {}, timeout=30))["peak_rss_bytes"] > 0
    finally:
        await child.close()


async def test_a_child_that_asks_once_more_when_nobody_waits_is_not_killed(tmp_path, params):
    """A task comes while the last update is being settled: the child is needed for it."""
    asking = None

    async def tell(_question):
        asyncio.get_running_loop().call_soon(asking.cancel)
        return payload(b"20")

    child = await started(tmp_path, "Asks")
    try:
        asking = asyncio.create_task(child.request("filter", params, asked=tell))
        await asyncio.wait({asking})
        assert (await child.request("stats", {}, timeout=30))["peak_rss_bytes"] > 0
    finally:
        await child.close()


async def test_a_child_that_asks_nobody_is_out_of_step(tmp_path, params):
    child = await started(tmp_path, "Asks")
    with pytest.raises(ChildDiedError, match="which is no answer"):
        await child.request("filter", params)
    assert not child.alive


async def test_whole_numbers_are_sent_of_differences(tmp_path, params):
    child = await started(tmp_path, "Whole")
    try:
        answer = await child.request("filter", params)
    finally:
        await child.close()
    sent = load_file(params["destination"])["a"]
    assert sent.dtype == np.int32
    assert sent.tolist() == [[250, 250], [250, 250]]
    assert (answer["kind"], answer["encoded"]) == ("weight_diff", True)


async def test_nothing_comes_after_whole_numbers(tmp_path, params):
    child = await started(tmp_path, "Whole", "Scale")
    try:
        with pytest.raises(TaskFailedError, match="nothing may change") as caught:
            await child.request("filter", params)
        assert caught.value.reason == "FILTER_ORDER"
    finally:
        await child.close()
