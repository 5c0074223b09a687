# SPDX-License-Identifier: Apache-2.0
"""Targets: what child processes write to their parent, and what clients send as results."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

from mmar_runner.children.descriptions import facts_to_json, read_facts, read_reason, read_rule
from mmar_runner.children.parent_line import ParentLine
from mmar_runner.children.process import ChildProcess
from mmar_runner.children.starting import StartedProcess
from mmar_runner.client.files.pending import PendingUpdate
from mmar_runner.client.files.workspace import RunFiles
from mmar_runner.client.tasks.training import train_result
from mmar_runner.deep.comparing import differences
from mmar_runner.deep.estimates import schema_of, size_of
from mmar_runner.documents.words import human_bytes
from mmar_runner.interfaces.network_facts import TensorFacts
from mmar_runner.interfaces.update import UpdateFacts
from mmar_runner.server.components.results import ResultDesk
from mmar_runner.server.records.workspace import RunFolder
from mmar_runner.storage.safetensors_format import encode_header
from mmar_runner.wire.messages import UpdateBegin
from mmar_runner.wire.update_facts import announce, announced_facts
from mmar_runner_metrics.processor import MetricsProcessor
from tests.fuzz.target import FindingError, Target, scratch
from tests.fuzz.targets_documents import JSON
from tests.noted import Noted

_ANSWER_SECONDS: Final = 30.0


class _NoProcess:
    """Stands for a process that has ended; its number is one that no process has."""

    pid = 1 << 30
    returncode = 0

    async def wait(self) -> int:
        """Return at once."""
        return self.returncode


async def _asked(data: bytes) -> dict[str, Any]:
    """Ask a child that answers with any bytes; the answer, or why there is none, comes soon."""
    ours, theirs = socket.socketpair()
    lifeline, other = socket.socketpair()
    with theirs, other:
        theirs.setblocking(False)
        # What does not fit into the socket at once is not needed: inputs are small.
        theirs.send(data[: 64 << 10])
        theirs.shutdown(socket.SHUT_WR)
        reader, writer = await asyncio.open_connection(sock=ours, limit=1 << 20)
        started = StartedProcess(_NoProcess(), reader, writer, lifeline)  # type: ignore[arg-type]
        child = ChildProcess(started, Path("log"))
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await child.request("train", {}, told=_steps)
        except TimeoutError as error:
            raise FindingError("the parent waits for ever") from error
        finally:
            await child.kill()


def _steps(done: int, total: int) -> None:
    """Hear of a step, as whoever shows progress does."""
    if not 0 <= done < 1 << 63 or not 0 <= total < 1 << 63:
        raise FindingError(f"steps that nobody can send on: {done} of {total}")


def _child(data: bytes) -> None:
    """A trainer's child answers; what it says becomes an update that is kept and sent."""
    result = train_result(_run(_asked(data)))
    with scratch() as folder:
        files = RunFiles(folder, 1)
        facts = UpdateFacts(
            round=0,
            bytes=8,
            num_samples=result.num_samples,
            kind=result.kind,
            metrics=result.metrics,
            validation=result.validation,
            seconds_train=1.0,
        )
        named = {"base_sha256": "b", "update_id": "u", "file": "update.safetensors"}
        update = PendingUpdate(facts=facts, run_number=1, mmar_digest="d", **named)
        files.keep_pending(update)
        (folder / update.file).write_bytes(bytes(8))
        if files.pending(mmar_digest="d") != update:
            raise FindingError("what was kept of the update is another one")
    begin = announce(facts, token="t", run_number=1, base_sha256="b", update_id="u")
    if announced_facts(UpdateBegin.FromString(begin.SerializeToString())) != facts:
        raise FindingError("what is announced of the update is something else")


def _described(data: bytes) -> None:
    """A child describes a network, or an aggregator; what is said of it can be shown."""
    answer = _run(_asked(data))
    if "excluded" in answer:
        rule = read_rule(answer)
        if not 0 <= rule.least <= 1_000_000 or not 0 <= rule.slots <= 1_000_000:
            raise FindingError(f"nobody has so many clients, or states: {rule!r:.200}")
        return
    facts = read_facts(answer)
    if facts is None:
        read_reason(answer).encode()
        return
    if read_facts(json.loads(json.dumps(facts_to_json(facts)))) != facts:
        raise FindingError("what was read is something else when it is told again")
    size = size_of(facts)
    encode_header(list(schema_of(facts)))
    other = {"weight": TensorFacts("F32", (2, 3))}
    found = [*differences(facts.tensors, other), *differences(other, facts.tensors)]
    said = [one.sentence("the model", "the network") for one in found]
    memory = human_bytes(sum(facts.memory.values()))
    " ".join([*said, human_bytes(size.bytes), memory, *facts.memory, facts.note]).encode()


def _run(asked: Coroutine[Any, Any, Any]) -> Any:
    unseen: list[dict[str, Any]] = []

    async def watched() -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda _, what: unseen.append(what))
        return await asked

    try:
        return asyncio.run(watched())
    finally:
        if unseen:
            raise FindingError(f"a task that failed unseen: {unseen[0]}")


def _parent(data: bytes) -> None:
    """A child reads requests of its parent."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        theirs.send(data[: 64 << 10])
        theirs.shutdown(socket.SHUT_WR)
        with ours.makefile("rwb") as lines:
            line = ParentLine(lines, ours.fileno())
            while line.next_request() is not None:
                line.step(1, 2)


def _result(data: bytes) -> None:
    """A client's result of the topic ``metrics``, and the same again."""
    with scratch() as folder:
        for name in ("logs", "models"):
            (folder / name).mkdir()
        processor = MetricsProcessor(tensorboard=False)
        run = RunFolder(folder, 1)
        desk = ResultDesk([processor], run, newest_round=lambda: 5, note=Noted())

        async def send() -> None:
            try:
                for _ in range(2):
                    reply = await desk.process("site-1", "site-1", "metrics", data)
                    json.loads(reply, parse_constant=_no_constant)
            finally:
                await desk.close()

        _run(send())


def _no_constant(word: str) -> None:
    raise FindingError(f"a reply that is no JSON: {word}")


TARGETS: Final = (
    Target(
        "child",
        _child,
        "what a child writes to its parent",
        (b'{"id":1,"result":{', b'{"id":1,"step":[', b'{"id":1,"error":{', b'"hint":', *JSON),
    ),
    Target(
        "described",
        _described,
        "what a child says of a network or an aggregator",
        (
            b'{"id":1,"result":{',
            b'"known":true',
            b'"tensors":[["w","F32",[2,3]]]',
            b'"least":',
            *JSON,
        ),
    ),
    Target("parent", _parent, "what a parent writes to its child", (b'{"id":1,', *JSON)),
    Target("result", _result, "results of clients", (b'"round":', b'"train":{', *JSON)),
)
