# SPDX-License-Identifier: Apache-2.0
"""The same thing over and over: it counts once, and makes no file grow without end."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.errors import RefusedError, UnreachableError
from mmar_runner.security.audit.repeats import ORDINARY_LINES
from mmar_runner.server.calls.paced_stream import MESSAGES_AT_ONCE, MESSAGES_PER_SECOND
from mmar_runner.server.members.registry import COMINGS_AT_ONCE
from mmar_runner.testing.processes import RunningServer
from mmar_runner.wire.messages import (
    DeclineRequest,
    GetPackageRequest,
    QuitRequest,
    TaskFailure,
)
from mmar_runner.wire.stub import DiscoveryStub

TIMES = 10
FAILURES = 20_000


@pytest.fixture(params=[0.01, 5], ids=["inline", "chunks"])
def open_arena(
    tmp_path: Path, request: pytest.FixtureRequest, arena_of: Any, mmar: Path, project: Any
) -> Any:
    variables = {"NUM_ROUNDS": 1, "MIN_NUM_CLIENTS": 2, "MODEL_MB": request.param}
    options = ("--durability", "process")
    kit = project.server_kit(f"over-{tmp_path.name}")
    with RunningServer(mmar, tmp_path / "ws", *options, variables=variables, kit=kit) as server:
        arena = arena_of(server, mmar, variables)
        arena.inline = request.param < 1
        yield arena


def raised(model: bytes, by: float) -> bytes:
    """Return a model with every number that much higher."""
    begin = 8 + int.from_bytes(model[:8], "little")
    layout = f"<{(len(model) - begin) // 4}f"
    numbers = struct.unpack(layout, model[begin:])
    return model[:begin] + struct.pack(layout, *(number + by for number in numbers))


def numbers_of(model: bytes) -> tuple[float, ...]:
    begin = 8 + int.from_bytes(model[:8], "little")
    return struct.unpack(f"<{(len(model) - begin) // 4}f", model[begin:])


@pytest.mark.parametrize("at_once", [False, True], ids=["one_by_one", "at_once"])
def test_b01_an_update_that_comes_ten_times_weighs_once(open_arena: Any, at_once: bool) -> None:
    """Weight 3 against weight 1: three quarters of the way. Ten times would be 30 against 1."""

    async def play(attacker: Any) -> tuple[bytes, list[bool]]:
        submit = attacker.submit_inline if open_arena.inline else attacker.submit
        update = raised(attacker.model, 1.0)

        async def once() -> bool | None:
            try:
                return bool((await submit(update, update_id="same", num_samples=3.0)).duplicate)
            except RefusedError as error:
                taken_over.add(error.reason)  # by another attempt of ours
                return None

        found: list[bool | None] = [None] * TIMES
        if at_once:
            found = await asyncio.gather(*(once() for _ in range(TIMES)))
        duplicates = [bool(await once() if one is None else one) for one in found]
        async with open_arena.guest("witness") as other:
            assert not (await other.submit(attacker.model, num_samples=1.0)).duplicate
        return attacker.model, duplicates

    taken_over: set[str] = set()
    model, duplicates = open_arena.attack(play)
    assert taken_over <= {"TOO_MANY_UPLOADS"}
    assert Counter(duplicates) == {False: 1, True: TIMES - 1}
    assert open_arena.server.wait() == 0, open_arena.server.stderr
    assert len(open_arena.evidence.accepted()) == 2
    run = open_arena.server.workspace / "run_1"
    final = numbers_of((run / "models" / "final.safetensors").read_bytes())
    assert final == pytest.approx(numbers_of(raised(model, 0.75)), abs=1e-5)


def test_c03_messages_without_end_on_one_stream_are_refused(small: Any) -> None:
    """The gate counts calls; this is one."""

    async def play(attacker: Any) -> None:
        call = attacker.stub.submit_update()
        failure = TaskFailure(token=attacker.token, run_number=1, attempt=99, message="m" * 500)

        async def answers() -> None:
            while len(served) < FAILURES and await call.read() is not None:
                served.append(1)

        begun = time.monotonic()
        reading = asyncio.create_task(answers())
        # gRPC may tell a writer of a call that has ended less than the server said.
        with contextlib.suppress(RefusedError, UnreachableError):
            for _ in range(FAILURES):
                await call.write(failure)
        with contextlib.suppress(RefusedError, UnreachableError):
            await reading
        if len(served) == FAILURES:
            seconds = time.monotonic() - begun
            assert MESSAGES_AT_ONCE + 1.1 * MESSAGES_PER_SECOND * seconds >= FAILURES
            pytest.skip(f"too slow a machine: {FAILURES} messages took {seconds:.0f} s, as allowed")

    served: list[int] = []
    small.attack(play, owner="greedy-c")
    (line,) = small.evidence.lines("client greedy-c", "RATE_LIMITED")
    assert line["action"] == "SubmitUpdate"
    small.evidence.refusals["client greedy-c", "RATE_LIMITED"] += 1
    assert MESSAGES_AT_ONCE / 2 < len(served) < FAILURES
    assert small.evidence.events("task_failed") == []


def test_c03_what_is_accepted_over_and_over_is_few_lines(small: Any) -> None:
    """Refused by itself or given the MMAR: whatever it says, and however often."""
    times = 100

    async def play(attacker: Any) -> None:
        stub = DiscoveryStub(attacker.channel)
        for number in range(times):
            request = DeclineRequest(
                digest=f"{number:064x}", reason=f"NO_{number}", message="\x1b[31m" * number
            )
            await stub.decline(request, timeout=10)
            async for _ in stub.get_package(GetPackageRequest()):
                break
            await attacker.register()

    small.attack(play, owner="greedy-a")
    mine = [line for line in small.evidence.audit() if line["who"] == "client greedy-a"]
    lines = Counter(line["action"] for line in mine)
    assert lines["Decline"] == lines["GetPackage"] == ORDINARY_LINES
    assert lines["Register"] == 2  # the arena's own two


def test_c03_coming_and_going_without_end_is_refused(small: Any) -> None:
    """Each time is a record in the journal and two lines in the log."""

    async def play(attacker: Any) -> None:
        name = f"{attacker.name.rpartition('_')[0]}_16"
        for _ in range(int(COMINGS_AT_ONCE) * 2):
            token = (await attacker.register(client_name=name)).token
            await attacker.stub.quit(QuitRequest(token=token), timeout=10)
            came.append(1)

    came: list[int] = []
    assert small.refusal(play, owner="greedy-b") == "RATE_LIMITED"
    assert len(came) <= COMINGS_AT_ONCE + 5
    records = [
        e for e in small.evidence.events("client_registered") if e["client"] == "greedy-b_16"
    ]
    assert len(records) == len(came)


def test_b10_a_kind_that_is_none_is_told_which_there_are(small: Any) -> None:
    refused = small.refused(lambda a: a.submit(a.model, kind="poison"))
    assert refused.message == "an update is of kind weight_diff or weights, not 'poison'"
