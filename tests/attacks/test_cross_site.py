# SPDX-License-Identifier: Apache-2.0
"""Cross-site validation attacked: by who takes no part, by models and answers that are none."""

from __future__ import annotations

import asyncio
import json
import math
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.errors import MmarRunnerError
from mmar_runner.testing.builders import MmarBuilder
from mmar_runner.testing.processes import RunningClient, RunningServer
from mmar_runner.wire.channel import open_channel
from mmar_runner.wire.messages import (
    CrossSiteResult,
    GetModelRequest,
    GetValidationModelsRequest,
    QuitRequest,
    RegisterRequest,
    TaskFailure,
    UpdateBegin,
    UpdateCommit,
    UpdateReady,
)
from mmar_runner.wire.stub import FederationStub

LIMITS = {"submit_seconds": 30, "deadline_seconds": 60, "absent_seconds": 0}
NAN, INF = float("nan"), float("inf")


def job(folder: Path) -> Path:
    builder = MmarBuilder().server(num_rounds=1, wait_after_min_clients=0)
    builder.top_level(cross_site_validation=LIMITS)
    part = {"is_participating": True}
    builder._client.update(cross_validate=True, cross_site_validation=part)
    return builder.trainer("EchoTrainer").variables(MIN_NUM_CLIENTS=1).write(folder)


class Session:
    """A session whose messages are written by hand."""

    def __init__(self, stub: FederationStub, token: str) -> None:
        self.stub, self.token = stub, token

    def begin(self, model: bytes, **changes: Any) -> UpdateBegin:
        facts = {
            "token": self.token,
            "run_number": 1,
            "round": -1,
            "total_bytes": len(model),
            "update_id": secrets.token_hex(8),
            "num_samples": 1,
            "kind": "weights",
        }
        return UpdateBegin(**{**facts, **changes})

    async def submit(self, model: bytes, **changes: Any) -> str:
        """Send a best model; return the reason of its refusal, or nothing."""
        call = self.stub.submit_best_local_model()
        try:
            await call.write(self.begin(model, **changes))
            if isinstance(await call.read(), UpdateReady):
                await call.write(model)
                await call.write(UpdateCommit(sha256=sha256(model).hexdigest()))
                while (await call.read()) is not None:
                    break
        except MmarRunnerError as error:
            return error.reason
        finally:
            call.cancel()
        return ""

    async def lacks(self, **facts: Any) -> str:
        call = self.stub.submit_best_local_model()
        try:
            await call.write(TaskFailure(token=self.token, run_number=1, **facts))
            await call.read()
        except MmarRunnerError as error:
            return error.reason
        finally:
            call.cancel()
        return ""

    async def ask(self) -> tuple[Any, bytes]:
        """Return header and bytes of the next model to validate."""
        call = self.stub.get_validation_models(GetValidationModelsRequest(token=self.token))
        items = aiter(call)
        header = await anext(items)
        data = header.inline
        call.cancel()
        return header, data

    async def fetch(self, model_id: str) -> tuple[Any, bytes]:
        """Return header and bytes of a model by its id."""
        call = self.stub.get_model(GetModelRequest(token=self.token, model_id=model_id))
        header = await anext(aiter(call))
        call.cancel()
        return header, header.inline

    async def answer(self, **facts: Any) -> str:
        try:
            result = CrossSiteResult(**{"token": self.token, "run_number": 1, **facts})
            await self.stub.submit_cross_site_result(result, timeout=10)
        except MmarRunnerError as error:
            return error.reason
        return ""


@asynccontextmanager
async def session(address: str, name: str, *, takes_part: bool) -> AsyncIterator[Session]:
    channel = open_channel(address)
    stub = FederationStub(channel)
    key = secrets.token_bytes(32)
    reply = await stub.register(
        RegisterRequest(
            client_name=name, session_key=key, task_name="job", cross_validate=takes_part
        )
    )
    try:
        yield Session(stub, reply.token)
    finally:
        await stub.quit(QuitRequest(token=reply.token))
        await channel.close()


async def until_it_begins(evil: Session) -> None:
    """Listen until cross-site validation is announced."""
    call = evil.stub.get_model(GetModelRequest(token=evil.token, after_round=-1))
    async for item in call:
        if getattr(item, "cross_site", False):
            break
    call.cancel()


@pytest.mark.parametrize("last", ["none", "model"])
def test_who_attacks_harms_only_its_own_cells(tmp_path: Path, last: str) -> None:
    mmar = job(tmp_path)
    with RunningServer(mmar, tmp_path / "server") as server, ExitStack() as stack:
        address = server.address()

        def begin() -> RunningClient:
            client = RunningClient(mmar, address, "site-1", tmp_path / "clients")
            return stack.enter_context(client)

        honest = asyncio.run(asyncio.wait_for(attack(address, begin, last), 60))
        assert (honest.wait(), server.wait()) == (0, 0), server.stderr
        told = server.summary()
        matrix = json.loads(
            (server.workspace / "run_1/cross_site_validation/results.json").read_bytes()
        )
    assert told["status"] == "finished"
    assert {"FL_global_model", "site-1"} <= set(matrix["site-1"])
    assert all(matrix["site-1"].values()), "whoever is honest has every cell"
    numbers = [v for row in matrix.values() for cell in row.values() for v in cell.values()]
    assert all(map(math.isfinite, numbers))
    assert matrix["evil"]["FL_global_model"] == {"kept": 1.0}
    assert "nosy" not in matrix
    lacking = [
        one["reason"]
        for one in told["cross_site_validation"]["empty"]
        if one["data_client"] is None
    ]
    assert [why.partition(":")[0] for why in lacking] == [
        "TASK_FAILED" if last == "none" else "NON_FINITE"
    ]


async def attack(address: str, begin: Callable[[], RunningClient], last: str) -> RunningClient:
    """Attack before and after it begins; then leave, so that nobody waits."""
    async with (
        session(address, "evil", takes_part=True) as evil,
        session(address, "nosy", takes_part=False) as nosy,
    ):
        assert await evil.submit(b"x" * 99) == "CROSS_SITE_CLOSED"
        assert await evil.answer(owner="evil") == "CROSS_SITE_CLOSED"
        honest = begin()
        await until_it_begins(evil)
        await misbehave(evil, nosy, last)
    return honest


async def misbehave(evil: Session, nosy: Session, last: str) -> None:
    header, _ = await evil.ask()
    assert header.cross_site, "its own model is asked for first"
    header, model = await evil.fetch("round_1")
    for stranger in (nosy.submit(model), nosy.lacks(reason="X"), nosy.answer(owner="x")):
        assert await stranger == "NOT_A_PARTICIPANT"
    with pytest.raises(MmarRunnerError) as refused:
        await nosy.ask()
    assert refused.value.reason == "NOT_A_PARTICIPANT"

    good = {"owner": "FL_global_model", "sha256": header.sha256}
    assert await evil.answer(**good, run_number=7, metrics={"m": 1}) == "RUN_MISMATCH"
    assert await evil.answer(owner="../x", sha256=header.sha256) == "MODEL_UNKNOWN"
    assert await evil.answer(owner="nosy", sha256=header.sha256) == "MODEL_UNKNOWN"
    assert await evil.answer(owner="FL_global_model", sha256="0" * 64) == "BASE_MISMATCH"
    assert await evil.answer(**good, metrics={"a\nb": 1}) == "METRICS"
    many = {f"m{number}": 1.0 for number in range(300)}
    assert await evil.answer(**good, metrics=many) == "METRICS"
    mixed = {"kept": 1.0, "nan": NAN, "inf": INF}
    assert await evil.answer(**good, metrics=mixed) == ""
    assert await evil.answer(**good, metrics={"kept": 2.0}) == "", "the first one counts"

    assert await evil.submit(model, run_number=7) == "RUN_MISMATCH"
    assert await evil.submit(model, inline=model, sha256=sha256(model).hexdigest()) == "PROTOCOL"
    if last == "none":
        assert await evil.lacks(reason="TASK_FAILED", message="x" * 10_000) == ""
    else:
        broken = model[:-4] + b"\x00\x00\xc0\x7f"
        assert await evil.submit(broken) == "NON_FINITE"
    assert await evil.submit(model) == "", "what is settled stays so"
