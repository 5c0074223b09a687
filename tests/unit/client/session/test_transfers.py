# SPDX-License-Identifier: Apache-2.0
"""Models come and updates go, whatever breaks off, each exactly once."""

from __future__ import annotations

import asyncio
import json

import pytest

from mmar_runner.interfaces.observer import Topic
from tests.unit.client.session.bytes_of_models import model


async def test_small_models_and_updates_travel_inline(server, serving, session, trainers):
    server.models = [(0, b"first"), (1, b"second")]
    async with serving():
        outcome = await session()

    assert outcome.status == "finished"
    assert server.updates == {0: b"first!", 1: b"second!"}
    assert [begin.metrics["loss"] for begin in server.begins] == [0.5, 0.5]
    assert [begin.validation["auc"] for begin in server.begins] == [0.75, 0.75]
    assert server.quits == ["finished"]
    assert trainers.closed == 1


async def test_large_models_and_updates_stream(server, serving, session):
    large = model(11)
    server.models = [(0, large), (1, large[:-5])]
    async with serving():
        outcome = await session()

    assert outcome.status == "finished"
    assert server.updates == {0: large + b"!", 1: large[:-5] + b"!"}


async def test_all_that_travels_is_compressed_if_that_is_agreed_on(server, serving, session):
    """Offsets count raw bytes: what breaks off goes on where it was, in both directions."""
    large = model(12)
    server.models = [(0, large), (1, b"small" * 9000)]
    server.compression, server.break_after, server.break_upload_after = "zstd", 9, 5
    async with serving():
        outcome = await session()

    assert outcome.status == "finished"
    assert server.updates == {0: large + b"!", 1: b"small" * 9000 + b"!"}
    assert server.requests[1].offset > 0
    assert len(server.begins) == 3
    assert all(server.packed)
    assert list(server.registrations[0].compressions) == ["zstd"]


async def test_nothing_is_compressed_if_nothing_is_agreed_on(server, serving, session):
    server.models = [(0, b"small" * 9000), (1, model(3))]
    async with serving():
        await session()
    assert not any(server.packed)


async def test_one_call_brings_every_model_and_one_takes_every_update(server, serving, session):
    server.models = [(0, b"first"), (1, model(3)), (2, b"third")]
    submitted = server.submit_update
    calls = []

    async def counted(stream, peer):
        calls.append(stream)
        await submitted(stream, peer)

    server.submit_update = counted
    async with serving():
        await session()

    assert [request.after_round for request in server.requests] == [-1]
    assert len(calls) == 1
    assert sorted(server.updates) == [0, 1, 2]


async def test_a_broken_download_goes_on_where_it_was(server, serving, session):
    large = model(12)
    server.models = [(0, large)]
    server.break_after = 9
    async with serving():
        await session()

    # Whole batches only are known to be in the file.
    assert [(r.after_round, r.offset > 0) for r in server.requests][:2] == [(-1, False), (-1, True)]
    assert server.updates[0] == large + b"!"


async def test_a_broken_upload_goes_on_where_the_server_was(server, serving, session):
    large = model(12)
    server.models = [(0, large)]
    server.break_upload_after = 5
    async with serving():
        await session()

    assert server.updates[0] == large + b"!"
    assert len({begin.update_id for begin in server.begins}) == 1
    assert len(server.begins) == 2


@pytest.mark.parametrize("reason", ["TOO_MANY_UPLOADS", "DIGEST"])
async def test_a_refusal_that_may_pass_is_tried_again(server, serving, session, reason, recorder):
    server.models = [(0, b"first")]
    server.refuse_upload = reason
    async with serving():
        await session()

    assert server.updates == {0: b"first!"}
    assert recorder.all(Topic.SUBMITTED, round=0)


@pytest.mark.parametrize("reason", ["ROUND_MISMATCH", "SCHEMA", "NON_FINITE", "WEIGHT"])
async def test_a_refused_update_is_dropped_and_the_session_goes_on(
    server, serving, session, reason, recorder
):
    server.models = [(0, b"first"), (1, b"second")]
    server.refuse_upload = reason
    async with serving():
        outcome = await session()

    assert outcome.status == "finished"
    assert server.updates == {1: b"second!"}
    assert recorder.all(Topic.REFUSED, round=0, reason=reason)
    assert not list(outcome.run_folder.glob("pending.json"))


async def test_a_token_that_is_unknown_is_renewed_with_the_same_key(server, serving, session):
    server.models = [(0, b"first")]
    refused = server.check

    def forget_once(token):
        if token == "token-1":
            refused("another")
        refused(token)

    server.check = forget_once
    async with serving():
        outcome = await session()

    assert outcome.status == "finished"
    assert len(server.registrations) == 2
    assert len({request.session_key for request in server.registrations}) == 1


async def test_a_task_that_fails_is_reported_and_the_next_one_is_done(
    server, serving, session, trainers, recorder
):
    server.models = [(0, b"first"), (1, b"second")]
    trainers.errors[0] = "out of luck"
    async with serving():
        outcome = await session()

    assert outcome.status == "finished"
    assert (server.failures[0].reason, server.failures[0].message) == ("TASK_FAILED", "out of luck")
    assert recorder.all(Topic.TASK_FAILED, round=0)
    assert server.updates == {1: b"second!"}


async def test_the_end_of_the_run_ends_a_task_that_nobody_needs(server, serving, session, trainers):
    server.models = [(0, b"first")]
    trainers.may_end.clear()
    async with serving():
        running = asyncio.create_task(session())
        await trainers.started.wait()
        await server.answer(0)  # the round was closed without this client
        outcome = await running

    assert outcome.status == "finished"
    assert server.updates == {}
    assert trainers.closed == 1


async def test_a_duplicate_receipt_counts_as_a_receipt(server, serving, session, recorder):
    server.models = [(0, b"first")]
    server.duplicate = True
    async with serving():
        await session()

    assert recorder.all(Topic.SUBMITTED, round=0, duplicate=True)


async def test_metrics_are_sent_if_somebody_wants_them(server, serving, session):
    server.models = [(0, b"first")]
    server.result_topics = ["metrics"]
    async with serving():
        await session()

    assert [request.topic for request in server.results] == ["metrics"]
    sent = json.loads(server.results[0].result)
    assert (sent["round"], sent["num_samples"]) == (0, 3)
    assert (sent["train"], sent["validation"]) == ({"loss": 0.5}, {"auc": 0.75})
