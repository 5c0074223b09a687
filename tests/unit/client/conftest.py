# SPDX-License-Identifier: Apache-2.0
"""A server that follows a test's script, behind the real wire."""

from __future__ import annotations

import asyncio
import tempfile
from hashlib import sha256
from pathlib import Path

import pytest

from mmar_runner.client.settings import SessionSettings
from mmar_runner.errors import RefusedError, TaskFailedError
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.interfaces.client_trainer import TrainResult
from mmar_runner.mmar.spec import ClientSpec, ComponentSpec, Generation, MmarSpec
from mmar_runner.testing.recorder import Recorder
from mmar_runner.wire.messages import (
    HeartbeatReply,
    ModelHeader,
    QuitReply,
    RegisterReply,
    ResultReply,
    RunEnd,
    TaskFailure,
    UpdateBegin,
    UpdateCommit,
    UpdateCredit,
    UpdateReady,
    UpdateReceipt,
)
from mmar_runner.wire.packing import Packed, packer, unpack
from mmar_runner.wire.servicer import FederationServicer
from tests.served import served

CHUNK = 1 << 20


class ScriptedServer(FederationServicer):
    """Answers as told.

    Attributes:
        models: What GetModel serves: (round, bytes), then the run's end.
        break_after: Chunks of the next model after which the stream breaks, once.
        break_upload_after: Likewise for uploads.
        refuse_upload: The reason with which uploads are refused, once.
        token: The only token that is known.
        held: Bytes of the update that is coming in.
        updates: Complete updates, by round.
        begins: Every Begin that came.
        failures: Every TaskFailure that came.
        requests: Every GetModelRequest that came; ``asked`` likewise, to wait for.
        result_topics: What Register announces.
        results: What SendResult brought.
        inline_bytes: What Register announces.
        answered: Rounds that were answered, for the order of tasks.
        refused: Rounds whose update was refused for good; whoever asks anew gets another.
        attempts: How often a task is given at most.
        owed: Whether a task that failed is to be given again.
    """

    def __init__(self):
        self.models = []
        self.break_after = None
        self.break_upload_after = None
        self.refuse_upload = None
        self.duplicate = False
        self.token = "token-0"
        self.run_number = 1
        self.current_round = 0
        self.epoch = "one"
        self.registrations = []
        self.held = bytearray()
        self.updates = {}
        self.begins = []
        self.failures = []
        self.requests = []
        self.asked = asyncio.Queue()
        self.result_topics = []
        self.results = []
        self.inline_bytes = 64 << 10
        self.lease = 30.0
        self.update_codec = self.compression = ""
        self.packed = []
        self.heartbeats = asyncio.Queue()
        self.quits = []
        self.end = RunEnd(status="finished")
        self.answered = set()
        self.refused = set()
        self.attempts = 1
        self.owed = False
        self.changed = asyncio.Condition()

    async def register(self, request, peer):
        self.registrations.append(request)
        self.token = f"token-{len(self.registrations)}"
        return RegisterReply(
            token=self.token,
            run_number=self.run_number,
            seed=5,
            num_rounds=2,
            lease_seconds=self.lease,
            inline_bytes=self.inline_bytes,
            result_topics=self.result_topics,
            current_round=self.current_round,
            epoch=self.epoch,
            update_codec=self.update_codec,
            compression=self.compression,
        )

    def check(self, token):
        if token != self.token:
            raise RefusedError("the token is not one of this run", reason="TOKEN_INVALID")

    async def quit(self, request, peer):
        self.quits.append(request.comment)
        return QuitReply()

    async def heartbeat(self, request, peer):
        self.check(request.token)
        self.heartbeats.put_nowait(request)
        return HeartbeatReply(lease_seconds=self.lease)

    async def get_model(self, request, peer):
        self.check(request.token)
        self.requests.append(request)
        self.asked.put_nowait(request)
        after, offer = request.after_round, (request.sha256, request.offset)
        while (found := await self.next_model(after)) is not None:
            after, model = found
            async for item in self.sent(after, model, *offer):
                yield item
            offer = ("", 0)
        yield ModelHeader(end=self.end)

    async def next_model(self, after):
        """Return the next model once the ones before were answered."""
        async with self.changed:
            await self.changed.wait_for(
                lambda: all(r in self.answered for r, _ in self.models if r <= after)
            )
        failed = self.refused | {failure.round for failure in self.failures}
        if 0 < len(self.failures) < self.attempts and after not in self.updates:
            after, failed = after - 1, set()  # it is given again
        return next(((r, m) for r, m in self.models if r > after and r not in failed), None)

    async def sent(self, number, model, known, offset):
        digest = sha256(model).hexdigest()
        header = ModelHeader(
            round=number, total_bytes=len(model), sha256=digest, attempt=1 + len(self.failures)
        )
        if len(model) <= self.inline_bytes:
            item = packer(self.compression)(model)
            header.packed = isinstance(item, Packed)
            header.inline = item.data if header.packed else item
            yield header
            return
        header.offset = offset if known == digest else 0
        yield header
        for sent, start in enumerate(range(header.offset, len(model), CHUNK)):
            if self.break_after == sent:
                self.break_after = None
                raise RefusedError("the stream breaks", reason="SERVER_STOPPING")
            yield packer(self.compression)(model[start : start + CHUNK])

    async def answer(self, number):
        async with self.changed:
            self.answered.add(number)
            self.changed.notify_all()

    async def submit_update(self, stream, peer):
        while (first := await stream.read()) is not None:
            self.check(first.token)
            if isinstance(first, TaskFailure):
                self.failures.append(first)
                self.owed = len(self.failures) < self.attempts
                # Before the receipt: whoever has it gives the call up, and this ends with it.
                if self.owed:
                    async with self.changed:
                        self.changed.notify_all()
                else:
                    await self.answer(first.round)
                await stream.write(UpdateReceipt(round=first.round))
            else:
                assert isinstance(first, UpdateBegin)
                self.begins.append(first)
                await self.take(stream, first)
                await self.answer(first.round)

    async def take(self, stream, begin):
        if self.refuse_upload is not None:
            reason, self.refuse_upload = self.refuse_upload, None
            if reason not in {"TOO_MANY_UPLOADS", "DIGEST", "BASE_MISMATCH"}:
                self.refused.add(begin.round)
                await self.answer(begin.round)
            raise RefusedError(f"refused with {reason}", reason=reason)
        if begin.inline:
            sent = begin.inline
            self.packed.append(begin.packed)
            self.updates[begin.round] = unpack(
                Packed(begin.total_bytes, sent) if begin.packed else sent
            )
        else:
            await self.receive(stream, begin)
        await stream.write(UpdateReceipt(round=begin.round, duplicate=self.duplicate))

    async def receive(self, stream, begin):
        await stream.write(UpdateReady(offset=len(self.held), credits=2))
        received = 0
        while not isinstance(item := await stream.read(), UpdateCommit):
            if self.break_upload_after == received:
                self.break_upload_after = None
                raise RefusedError("the stream breaks", reason="SERVER_STOPPING")
            self.packed.append(isinstance(item, Packed))
            self.held += unpack(item)
            received = len(self.held) // CHUNK
            await stream.write(UpdateCredit(credits=1, offset=len(self.held)))
        assert item.sha256 == sha256(self.held).hexdigest()
        assert len(self.held) == begin.total_bytes
        self.updates[begin.round] = bytes(self.held)
        self.held.clear()

    async def send_result(self, request, peer):
        self.results.append(request)
        return ResultReply(reply=b"{}")


class FakeTrainers:
    """Trainers that copy the model and append a byte; what they do can be replaced."""

    def __init__(self):
        self.tasks = []
        self.closed = 0
        self.errors = {}
        self.started = asyncio.Event()
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.keep = None
        self.waited = 0.0

    def trainer(self, spec, *, log, timeout):
        self.spec = spec
        return self

    def prepare(self):
        pass

    async def train(self, task):
        self.tasks.append((task, sorted(p.name for p in task.state.iterdir())))
        self.started.set()
        await self.may_end.wait()
        if task.round in self.errors:
            raise TaskFailedError(self.errors[task.round])
        task.update.write_bytes(task.model.read_bytes() + b"!")
        if self.keep is not None:
            (task.new_state / f"{self.keep}-{task.round}").touch()
        return TrainResult(3, metrics={"loss": 0.5}, validation={"auc": 0.75})

    async def close(self):
        self.closed += 1


class Installed:
    """Stands for loaded plugins; the trainer is found."""

    class Registry:
        @property
        def installed(self):
            return self

        def find(self, kind, name):
            from mmar_runner.interfaces.catalog import ComponentDescription

            return ComponentDescription(kind, name, "nowhere:Nothing", {"type": "object"})

    registry = Registry()


@pytest.fixture
def server():
    return ScriptedServer()


@pytest.fixture
def trainers():
    return FakeTrainers()


@pytest.fixture
def plugins():
    return Installed()


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def sockets():
    with tempfile.TemporaryDirectory(prefix="mmar-", dir="/tmp") as folder:
        yield folder


@pytest.fixture
def serving(server, sockets):
    """Serve at an address; the server is gone at the block's end."""

    return lambda: served(server, at=f"unix:{sockets}/server")


@pytest.fixture
def settings(tmp_path, sockets):
    trainer = ComponentSpec(
        kind=ComponentKind.CLIENT_TRAINER,
        declaration={"name": "Any", "args": {}},
        name="Any",
        args={},
        file="config/config_fed_client.json",
        pointer="/client_trainer",
    )
    spec = MmarSpec(
        name="job",
        root=tmp_path / "mmar",
        generation=Generation.CLARA_4,
        digest="d" * 64,
        client=ClientSpec(task_name="job", client_trainer=trainer),
    )
    return SessionSettings(
        spec=spec,
        target=f"unix:{sockets}/server",
        name="site-1",
        workspace=Path(tmp_path / "clients" / "site-1"),
    )
