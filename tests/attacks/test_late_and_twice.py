# SPDX-License-Identifier: Apache-2.0
"""Updates that outlive their round, come twice by two ways, or outlive their session."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load

from mmar_runner.errors import RefusedError, UnreachableError
from mmar_runner.testing.processes import RunningServer
from mmar_runner.wire.messages import QuitRequest, UpdateCommit, UpdateReady, UpdateReceipt

QUICK = ("--durability", "process", "--keep-models", "all")


def filled(model: bytes, value: float) -> bytes:
    """Return an update of the echo model in which every value is the same."""
    start = 8 + struct.unpack("<Q", model[:8])[0]
    return model[:start] + np.full((len(model) - start) // 4, value, "<f4").tobytes()


def values(path: Path) -> set[float]:
    return {float(v) for tensor in load(path.read_bytes()).values() for v in np.unique(tensor)}


@pytest.fixture
def brisk(tmp_path: Path, arena_of: Any, project: Any) -> Iterator[Any]:
    """A server whose rounds wait a second for who is late, with a model that comes in chunks."""
    mmar = project.mmar(name=f"brisk-{tmp_path.name[-12:]}", round_deadline=1)
    variables = {"NUM_ROUNDS": 2, "MIN_NUM_CLIENTS": 2, "MODEL_MB": 1}
    kit = project.kits.server
    with RunningServer(mmar, tmp_path / "ws", *QUICK, variables=variables, kit=kit) as server:
        yield arena_of(server, mmar, variables)


def plays(arena: Any, play: Any, *owners: str) -> Any:
    """Let a session of each owner join and download, and play."""

    async def run() -> Any:
        async with AsyncExitStack() as stack:
            sessions = []
            for owner in owners:
                channel = arena.dial(arena.address, arena.project.tls(owner))
                stack.push_async_callback(channel.close)
                sessions.append(await stack.enter_async_context(arena.joined(channel, owner)))
            for session in sessions:
                session.header, session.model = await session.download()
            return await play(*sessions)

    return asyncio.run(asyncio.wait_for(run(), 60))


async def begun(session: Any, update: bytes, length: int) -> Any:
    """Begin an update, send so many bytes of it, and leave it there."""
    call = session.stub.submit_update()
    await call.write(session.begin(update, num_samples=1e6))
    assert isinstance(await call.read(), UpdateReady)
    await call.write(update[:length])
    return call


async def outcome(call: Any) -> Any:
    """Return what becomes of an update: its receipt, or the reason of its refusal."""
    try:
        while not isinstance(reply := await call.read(), UpdateReceipt):
            assert reply is not None
    except RefusedError as error:
        return error.reason
    return reply


@pytest.mark.parametrize("value", [1000.0, np.nan], ids=["poison", "nan"])
def test_b03_what_comes_after_its_round_changes_no_update_of_the_next(
    brisk: Any, value: float
) -> None:
    """An upload that is still open when its round ends must not write into anybody's file."""

    async def play(late: Any, first: Any, second: Any) -> Any:
        held = await begun(late, filled(late.model, value), 1000)
        for session in (first, second):
            await session.submit(filled(session.model, 1.0))
        for session in (first, second):
            session.header, session.model = await session.download(after_round=0)
        await second.submit(filled(second.model, 2.0))
        said = await outcome(held)
        with suppress(RefusedError, UnreachableError):
            await held.write(filled(late.model, value)[1000:])
        await first.submit(filled(first.model, 4.0))
        return said

    said = plays(brisk, play, "evil-a", "evil-b", "evil-c")
    assert said == "ROUND_MISMATCH"
    assert brisk.server.wait() == 0, brisk.server.stderr
    models = brisk.server.workspace / "run_1" / "models"
    assert values(models / "round_0001.safetensors") == {1.0}
    assert values(models / "round_0002.safetensors") == {3.0}


@pytest.mark.parametrize("order", ["chunks last", "inline last"])
def test_b01_an_update_that_comes_by_two_ways_at_once_counts_once(
    tmp_path: Path, arena_of: Any, mmar: Path, project: Any, order: str
) -> None:
    """Sent in chunks up to its Commit, and meanwhile inside one message."""
    variables = {"NUM_ROUNDS": 1, "MIN_NUM_CLIENTS": 2, "MODEL_MB": 0.01}
    kit = project.kits.server

    async def play(twice: Any, other: Any) -> list[bool]:
        chunks = filled(twice.model, 50.0)
        held = await begun(twice, chunks, len(chunks))

        async def by_chunks() -> Any:
            await held.write(UpdateCommit(sha256=sha256(chunks).hexdigest()))
            return await outcome(held)

        async def inside() -> Any:
            return await twice.submit_inline(filled(twice.model, 1.0))

        ways = [inside, by_chunks] if order == "chunks last" else [by_chunks, inside]
        receipts = [await way() for way in ways]
        await other.submit_inline(filled(other.model, 1.0))
        return [receipt.duplicate for receipt in receipts]

    with RunningServer(mmar, tmp_path / "ws", *QUICK, variables=variables, kit=kit) as server:
        arena = arena_of(server, mmar, variables)
        assert plays(arena, play, "evil-a", "evil-b") == [False, True]
        assert server.wait() == 0, server.stderr
        (entry,) = server.summary()["rounds"]
        found = {one["client"]: one["num_samples"] for one in entry["contributions"]}
        assert sorted(found.values()) == ([1.0, 1.0] if order == "chunks last" else [1.0, 1e6])
        final = values(server.workspace / "run_1" / "models" / "final.safetensors")
        assert (final == {1.0}) == (order == "chunks last")


def test_b03_an_update_of_a_session_that_has_left_is_not_counted(brisk: Any) -> None:
    async def play(leaver: Any, _other: Any) -> Any:
        update = filled(leaver.model, 7.0)
        held = await begun(leaver, update, len(update))
        await leaver.stub.quit(QuitRequest(token=leaver.token), timeout=10)
        await held.write(UpdateCommit(sha256=sha256(update).hexdigest()))
        return await outcome(held)

    assert plays(brisk, play, "evil-a", "evil-b") == "TOKEN_INVALID"
    assert brisk.evidence.accepted() == []


def test_c01_chunks_without_credit_are_refused_and_fill_no_memory(large: Any) -> None:
    """Whoever ignores credits would have the server hold a model for every upload."""

    async def play(attacker: Any) -> None:
        call = attacker.stub.submit_update()
        await call.write(attacker.begin(attacker.model))
        assert isinstance(await call.read(), UpdateReady)
        # gRPC may tell a writer of a call that has ended less than the server said.
        with suppress(RefusedError, UnreachableError):
            for start in range(len(attacker.model)):
                await call.write(attacker.model[start : start + 1])
        large.count(attacker, "PROTOCOL")

    before = large.evidence.state()
    large.attack(play)
    assert large.evidence.state() == before
