# SPDX-License-Identifier: Apache-2.0
"""Who came and went is written down; so is what a stolen kit would look like."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mmar_runner.errors import AuditError
from mmar_runner.interfaces.observer import Topic
from mmar_runner.security.audit.reading import read_audit, verify_audit
from mmar_runner.security.tokens import TokenMint
from mmar_runner.server.gate.audited_gate import AuditedGate
from mmar_runner.server.gate.names import BelievedNames
from mmar_runner.server.members.members import Members
from mmar_runner.server.members.registry import ClientRegistry
from mmar_runner.server.records.run_state import RunState
from mmar_runner.testing.federation import Federation
from mmar_runner.testing.recorder import Recorder
from mmar_runner.wire.channel import open_channel
from mmar_runner.wire.gate import Peer
from mmar_runner.wire.messages import ClientState, QuitRequest, RegisterRequest
from mmar_runner.wire.stub import FederationStub

ECHO = Path(__file__).parents[3] / "mmars" / "echo"


def test_another_session_under_a_name_is_written_down(tmp_path: Path) -> None:
    variables = {"NUM_ROUNDS": 1, "MODEL_MB": 0.01, "MIN_NUM_CLIENTS": 2}
    with Federation(ECHO, workspace=tmp_path, clients=2, variables=variables) as federation:
        federation.serve()
        federation.join("site-1")
        federation.sessions["site-1"].wait_for(Topic.REGISTERED)
        federation.leave("site-1")
        federation.join("site-1", workspace=tmp_path / "elsewhere")
        federation.join("site-2")
        assert federation.wait().status == "finished"
    log = tmp_path / "audit.jsonl"
    verify_audit(log)
    lines = list(read_audit(log))
    said = [(n["action"], n["decision"]) for n in lines if n["data"]["client"] == "site-1"]
    assert said[:4] == [
        ("Register", "accepted"),
        ("leave", "noted"),
        ("Register", "accepted"),
        ("session.replaced", "noted"),
    ]
    assert [n["data"]["client"] for n in lines if n["action"] == "session.replaced"] == ["site-1"]


def test_a_session_that_comes_back_is_not_another_one(tmp_path: Path) -> None:
    variables = {"NUM_ROUNDS": 1, "MODEL_MB": 0.01, "MIN_NUM_CLIENTS": 2}
    with Federation(ECHO, workspace=tmp_path, clients=2, variables=variables) as federation:
        federation.serve()
        federation.join("site-1")
        federation.sessions["site-1"].wait_for(Topic.REGISTERED)
        federation.leave("site-1")
        federation.join("site-1")
        federation.join("site-2")
        assert federation.wait().status == "finished"
    actions = {line["action"] for line in read_audit(tmp_path / "audit.jsonl")}
    assert actions == {"Register", "leave"}


def test_a_registration_that_is_sent_again_leaves_one_record(tmp_path: Path) -> None:
    """Whoever replays it a thousand times makes no file grow."""
    variables = {"NUM_ROUNDS": 1, "MODEL_MB": 0.01, "MIN_NUM_CLIENTS": 2}
    with Federation(ECHO, workspace=tmp_path, clients=2, variables=variables) as federation:
        federation.serve()
        address = federation.server.wait_for(Topic.LISTENING).data["listen"]
        asyncio.run(register_often(address))
        federation.join("site-1")
        federation.join("site-2")
        assert federation.wait().status == "finished"
    lines = (tmp_path / "run_1" / "events.jsonl").read_text().splitlines()
    records = [e["data"] for e in map(json.loads, lines) if e["kind"] == "client_registered"]
    said = [one["mmar_digest"] for one in records if one["client"] == "often"]
    assert said == ["a", "b"]


class FullLog:
    """An audit log whose disk is full until it is freed."""

    def __init__(self) -> None:
        self.full = True

    def record(self, *_: Any, **__: Any) -> None:
        if self.full:
            raise AuditError("the disk is full", reason="AUDIT_WRITE")


async def test_a_client_whose_coming_was_not_written_down_comes_with_its_next_attempt() -> None:
    """It had a place and a token to come, and no round ever heard of it."""
    log, joined, journaled = FullLog(), list[str](), list[str]()
    registry = ClientRegistry(max_clients=9, lease_seconds=3600)
    coordinator: Any = SimpleNamespace(client_joined=joined.append)
    record: Any = SimpleNamespace(append=lambda kind, _: journaled.append(kind), state=RunState())
    members = _members(registry, coordinator, record, Recorder(), log)
    with pytest.raises(AuditError):
        members.register(REQUEST, PEER)
    assert (registry.present(), joined, journaled) == ([], [], [])
    (gone,) = registry.departed()
    assert gone.since > 0, "it is missing since now, not since the machine was started"
    log.full = False
    assert members.register(REQUEST, PEER)
    assert (joined, len(journaled)) == (["a"], 1)


async def test_a_step_that_every_heartbeat_repeats_is_told_once() -> None:
    """A client that trains for an hour on one step filled the log of whoever watched."""
    registry, recorder = ClientRegistry(max_clients=9, lease_seconds=3600), Recorder()
    nothing: Any = SimpleNamespace(
        client_joined=lambda _: None, append=lambda *_: None, state=RunState()
    )
    log: Any = SimpleNamespace(record=lambda *_, **__: None)
    members = _members(registry, nothing, nothing, recorder, log)
    token = members.register(REQUEST, PEER)
    training = ClientState.CLIENT_STATE_TRAINING
    for step in (1, 1, 2, 2, 2):
        members.heard(token, training, PEER, steps=(step, 9), round_number=0)
    told = [seen.data for seen in recorder.all(Topic.CLIENT_STATE)]
    assert [one.get("step") for one in told] == [None, 1, 2]
    assert registry.known("a").progress == {"done": 2, "total": 9, "unit": "steps"}


async def test_who_comes_back_within_its_lease_is_told_and_does_nothing_yet() -> None:
    """Progress was silent, and what the killed process had done went on for ever."""
    registry, recorder = ClientRegistry(max_clients=9, lease_seconds=3600), Recorder()
    nothing: Any = SimpleNamespace(
        client_joined=lambda _: None, append=lambda *_: None, state=RunState()
    )
    log: Any = SimpleNamespace(record=lambda *_, **__: None)
    members = _members(registry, nothing, nothing, recorder, log)
    token = members.register(REQUEST, PEER)
    training = ClientState.CLIENT_STATE_TRAINING
    members.heard(token, training, PEER, steps=(1, 9), round_number=0)
    members.register(REQUEST, PEER)
    members.register(REQUEST, PEER)  # at once: whoever floods a log is told of once
    (told,) = recorder.all(Topic.CLIENT_BACK)
    assert told.data == {"client": "a", "active": 1}
    back = registry.known("a")
    assert (back.state, back.progress, back.works_on) == ("idle", None, -1)
    back.told_back -= 5
    members.register(REQUEST, PEER)
    assert len(recorder.all(Topic.CLIENT_BACK)) == 2


REQUEST = RegisterRequest(client_name="a", session_key=bytes(32), task_name="echo")
PEER = Peer("ipv4:127.0.0.1:1")


def _members(
    registry: ClientRegistry, coordinator: Any, record: Any, recorder: Recorder, log: Any
) -> Members:
    guard: Any = SimpleNamespace(names=BelievedNames(), audit=log, gate=AuditedGate(log))
    return Members(
        registry,
        coordinator,
        record,
        recorder,
        mint=TokenMint(bytes(32), lifetime=900),
        guard=guard,
        task_name="echo",
        run_number=1,
    )


async def register_often(address: str) -> None:
    channel = open_channel(address)
    stub = FederationStub(channel)
    for digest in ["a"] * 20 + ["b"] * 20:
        request = RegisterRequest(
            client_name="often", session_key=bytes(32), task_name="echo", mmar_digest=digest
        )
        token = (await stub.register(request, timeout=10)).token
    await stub.quit(QuitRequest(token=token), timeout=10)
    await channel.close()
