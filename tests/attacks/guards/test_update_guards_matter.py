# SPDX-License-Identifier: Apache-2.0
"""Each guard of an update, replaced by one that says yes: then, and only then, it is counted.

Reception and coordinator are the server's own, with a machine that decides nothing beside
them, so that what was counted is what they let through.
"""

from __future__ import annotations

from concurrent.futures import Future
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save, save_file

from mmar_runner.errors import NonFiniteError, RefusedError, SchemaMismatchError
from mmar_runner.federation.weights import MAX_SAMPLES
from mmar_runner.server.calls import reception
from mmar_runner.server.calls.announcement import accepted
from mmar_runner.server.calls.reception import Reception
from mmar_runner.server.records.run_record import RunRecord
from mmar_runner.server.records.run_state import RunState
from mmar_runner.server.rounds.assignments import Assignments
from mmar_runner.server.rounds.coordinator import Coordinator
from mmar_runner.server.rounds.ledger import Ledger
from mmar_runner.server.rounds.minimum import MinimumBounds
from mmar_runner.server.rounds.open_round import OpenRound
from mmar_runner.storage import update_check
from mmar_runner.storage.model_schema import ModelSchema
from mmar_runner.storage.safetensors_format import parse_header
from mmar_runner.storage.update_check import check_update
from mmar_runner.wire.gate import Peer
from mmar_runner.wire.limits import INLINE_BYTES
from mmar_runner.wire.messages import UpdateBegin
from mmar_runner.wire.servicer import UpdateStream
from mmar_runner.wire.update_facts import announced_facts
from tests.updates import facts

SMALL, LARGE = 4, INLINE_BYTES // 4 + 1  # fits into one message, and does not


def update(count: int = SMALL) -> bytes:
    return save({"w": np.ones(count, np.float32)})


def begin(data: bytes, **said: Any) -> UpdateBegin:
    honest: dict[str, Any] = {"run_number": 1, "round": 3, "base_sha256": "model", "update_id": "u"}
    honest |= {"num_samples": 10.0, "kind": "weights", "inline": data}
    honest |= {"total_bytes": len(data), "sha256": sha256(data).hexdigest()}
    return UpdateBegin(**honest | said)


class Sent(UpdateStream):
    """Updates that come with what is said of them."""

    def __init__(self, *items: UpdateBegin) -> None:
        self._items = list(items)

    async def read(self) -> Any:
        return self._items.pop(0) if self._items else None

    async def write(self, item: Any) -> None:
        """Take the receipt."""


class Journal:
    """Has everything on its disk at once."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    def append(self, kind: Any, data: Any, *, blob: bytes | None = None) -> Future[int]:
        self.kinds.append(str(kind.value))
        done: Future[int] = Future()
        done.set_result(len(self.kinds))
        return done


def ignore(*_: Any, **__: Any) -> None:
    """Do nothing."""


class Run:
    """Round 3 of run 1, in which site-1 is asked for an update of at most 100 samples."""

    def __init__(
        self,
        count: int = SMALL,
        invited: str = "site-1",
        *,
        assignments: type[Assignments] = Assignments,
        receiver: type[Reception] = Reception,
    ) -> None:
        data, self.events, self.journal = update(count), [], Journal()
        machine = SimpleNamespace(handle=self._handle, stalled=False)
        reporter = SimpleNamespace(update_accepted=ignore, update_refused=ignore, goes_on=ignore)
        journal: Any = self.journal
        self.record = RunRecord(journal, RunState(round=3))
        closer = SimpleNamespace(exchange=SimpleNamespace(look=ignore))
        parts: Any = {"record": self.record, "reporter": reporter, "closer": closer}
        parts["disk"] = SimpleNamespace(note=ignore)
        parts |= {"spool": None, "bounds": MinimumBounds()}
        model: Any = SimpleNamespace(sha256="model")
        self.round = OpenRound(
            3, model, 0.0, invited={invited: 1}, accepted=self.record.state.accepted
        )
        parts["assignments"] = given = assignments()
        given.open(self.round)
        parts["updates"] = self.updates = SimpleNamespace(keep=ignore)
        coordinator = Coordinator(machine, model, note_refusal=lambda *_: None, **parts)
        self.answers = coordinator.answers
        session = SimpleNamespace(name="site-1", combines=False)
        members: Any = SimpleNamespace(authenticate=lambda *_: session, require_session=ignore)
        members.arrived, members.tree = ignore, SimpleNamespace(had_combiners=False)
        schema = ModelSchema.from_header(parse_header(data, file_size=len(data)))
        terms: Any = {"durable": False, "run_number": 1, "spool": None}
        terms["sample_rule"] = {"site-1": 100.0}
        self._reception = receiver(self.answers, members, schema=schema, **terms)

    def _handle(self, event: Any, _now: float) -> tuple[()]:
        self.events.append(event)
        return ()

    async def submit(self, said: UpdateBegin) -> Any:
        """Submit one update and return what is kept of it."""
        await self._reception.submit(Sent(said), Peer("ipv4:127.0.0.1:1"))
        return self.round.accepted["site-1"].update.facts

    async def refuses(self, said: UpdateBegin) -> str:
        """Return why an update is refused; nothing of it is counted."""
        with pytest.raises(RefusedError) as error:
            await self.submit(said)
        assert "update_accepted" not in self.journal.kinds
        assert not self.round.accepted
        return error.value.reason


async def test_the_control() -> None:
    assert (await Run().submit(begin(update()))).num_samples == 10


@pytest.mark.parametrize(
    ("reason", "count", "said", "guard", "answer"),
    [
        ("WEIGHT", SMALL, {"num_samples": 101.0}, "check_announcement", None),
        ("WEIGHT", SMALL, {"num_samples": MAX_SAMPLES}, "sample_cap", MAX_SAMPLES),
        ("METRICS", SMALL, {"metrics": {"\x1b[2J": 1.0}}, "check_announcement", None),
        ("CODEC", SMALL, {"codec": "fp16"}, "check_announcement", None),
        (
            "KIND",
            SMALL,
            {"kind": "poison"},
            "announced_facts",
            facts(3, bytes=len(update()), num_samples=10.0),
        ),
        ("TOO_LARGE", LARGE, {}, "check_announcement", None),
    ],
)
async def test_b06_c05_the_check_of_what_is_said(
    monkeypatch: Any, reason: str, count: int, said: dict[str, Any], guard: str, answer: Any
) -> None:
    evil = begin(update(count), **said)
    assert await Run(count).refuses(evil) == reason
    monkeypatch.setattr(reception, guard, lambda *_, **__: answer)
    kept = await Run(count).submit(evil)
    assert (kept.round, kept.num_samples) == (3, evil.num_samples)


class AnyRound(Assignments):
    """Takes an update of one round for one of another."""

    def require_round(self, number: int) -> OpenRound:
        assert self.current is not None
        return self.current


class AnyRun(Reception):
    """Takes updates of any run."""

    def _check_run(self, run_number: int) -> None:
        """Look at no number."""


class Anybody(Reception):
    """Takes updates of whoever is there, made from whatever model."""

    def _check_invited(self, client: str, begin: UpdateBegin) -> None:
        """Ask for no invitation."""


@pytest.mark.parametrize(
    ("reason", "said", "invited", "believing"),
    [
        ("ROUND_MISMATCH", {"round": 2}, "site-1", {"assignments": AnyRound}),
        ("RUN_MISMATCH", {"run_number": 7}, "site-1", {"receiver": AnyRun}),
        ("BASE_MISMATCH", {"base_sha256": "old"}, "site-1", {"receiver": Anybody}),
        ("NOT_A_PARTICIPANT", {}, "site-2", {"receiver": Anybody}),
    ],
)
async def test_b03_round_run_base_and_invitation(
    reason: str, said: dict[str, Any], invited: str, believing: dict[str, Any]
) -> None:
    evil = begin(update(), **said)
    assert await Run(invited=invited).refuses(evil) == reason
    run = Run(invited=invited, **believing)
    await run.submit(evil)
    assert run.round.accepted["site-1"].update.base == evil.round


class Forgetful(Ledger):
    """Does not know what it has counted."""

    def already_counted(self, client: str, round_number: int) -> bool:
        return False


@pytest.mark.parametrize(("ledger", "times"), [(Ledger, 1), (Forgetful, 2)])
async def test_b01_the_memory_of_what_was_counted(ledger: type[Ledger], times: int) -> None:
    """Two streams that bring the same update at once both come as far as the ledger."""
    run, said = Run(), begin(update())
    run.answers.ledger = ledger(run.record, run.updates, lambda _: None)
    heard = announced_facts(said)
    facts_ = {"seconds_upload": 0.0, "inline": True, "wire_bytes": len(said.inline)}
    same = accepted("site-1", heard, said.sha256, **facts_)
    assert run.answers.accept(same, said.inline)
    assert run.answers.accept(same, said.inline) is (times > 1)
    assert (len(run.events), run.journal.kinds) == (times, ["update_accepted"] * times)


class LaxSchema(ModelSchema):
    """Is content with any tensors."""

    def check(self, header: Any) -> None:
        """Look at nothing."""


def written(folder: Path, tensors: dict[str, Any]) -> bytes:
    path = folder / "update.safetensors"
    save_file(tensors, path)
    return path.read_bytes()


def schema_of(data: bytes, kind: type[ModelSchema] = ModelSchema) -> ModelSchema:
    return kind.from_header(parse_header(data, file_size=len(data), limit=1 << 20))


@pytest.mark.parametrize("spoiled", ["renamed", "reshaped", "retyped"])
def test_b04_the_schema(tmp_path: Path, spoiled: str) -> None:
    import numpy as np

    honest = written(tmp_path, {"w": np.ones(4, np.float32)})
    evil = written(
        tmp_path,
        {
            "renamed": {"v": np.ones(4, np.float32)},
            "reshaped": {"w": np.ones((2, 2), np.float32)},
            "retyped": {"w": np.ones(4, np.int32)},
        }[spoiled],
    )
    check_update(honest, schema_of(honest))
    with pytest.raises(SchemaMismatchError):
        check_update(evil, schema_of(honest))
    check_update(evil, schema_of(honest, LaxSchema))


def test_b05_the_look_for_numbers_that_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np

    evil = written(tmp_path, {"w": np.array([1, np.nan], np.float32)})
    with pytest.raises(NonFiniteError):
        check_update(evil, schema_of(evil))

    class Blind:
        def __init__(self, header: Any) -> None:
            """Know no tensors."""

        def feed(self, data: Any) -> None:
            """See nothing."""

    monkeypatch.setattr(update_check, "FiniteScanner", Blind)
    check_update(evil, schema_of(evil))
