# SPDX-License-Identifier: Apache-2.0
"""The audit log in the wrong hands while its server runs: it never goes unnoticed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.errors import AuditError, MmarRunnerError, RefusedError
from mmar_runner.security.audit.reading import verify_audit
from mmar_runner.testing.processes import RunningServer

NOTICED_SECONDS = 5.0


@pytest.fixture
def watched(tmp_path: Path, arena_of: Any, restless_mmar: Path, project: Any) -> Iterator[Any]:
    """An arena of its own: its log is spoiled. Leases are short: some cannot say goodbye."""
    mmar = restless_mmar
    variables = {"NUM_ROUNDS": 2, "MIN_NUM_CLIENTS": 2, "MODEL_MB": 0.01}
    options = ("--durability", "process")
    kit = project.server_kit(f"audited-{tmp_path.name}")
    with RunningServer(mmar, tmp_path / "ws", *options, variables=variables, kit=kit) as server:
        yield arena_of(server, mmar, variables)


def visit(arena: Any, owner: str) -> None:
    """An honest call, which the log has a line about."""

    async def play(player: Any) -> None:
        async with player:
            await player.heartbeat()

    arena.strike(play, arena.project.tls(owner), name=owner)


def noticed(arena: Any) -> str:
    """Return the reason for which honest callers are turned away, once they are."""
    deadline = time.monotonic() + NOTICED_SECONDS
    while True:
        try:
            visit(arena, "witness")
        except MmarRunnerError as error:
            return str(error.reason)
        assert time.monotonic() < deadline, "nobody noticed"


def welcomed_again(arena: Any) -> None:
    """Wait until what waited is written: whoever calls next is what has it tried again."""
    deadline = time.monotonic() + NOTICED_SECONDS
    while True:
        try:
            return visit(arena, "witness")
        except RefusedError as error:
            # A session that was let in before, and could not say goodbye, has the name.
            if error.reason not in {"AUDIT_ALTERED", "NAME_TAKEN"}:
                raise
            arena.evidence.refusals["client witness", "NAME_TAKEN"] += error.reason == "NAME_TAKEN"
            arena.evidence.lost += (
                error.reason == "AUDIT_ALTERED"
            )  # told as that, written as it was
            assert time.monotonic() < deadline
            time.sleep(0.1)


def log(arena: Any) -> Path:
    return Path(arena.server.workspace / "audit.jsonl")


@pytest.mark.parametrize("name", ["audit.jsonl", "audit.head"])
def test_a_log_that_is_taken_away_is_noticed_and_goes_on_when_it_is_back(
    watched: Any, name: str, tmp_path: Path
) -> None:
    """What happened meanwhile is in it: it waited."""
    visit(watched, "witness")
    before, path = watched.evidence.state(), watched.server.workspace / name
    path.rename(tmp_path / "taken")
    assert noticed(watched) == "AUDIT_ALTERED"
    assert watched.evidence.state() == before
    assert "somebody has removed" in watched.server.stderr
    watched.evidence.lost += 1
    watched.evidence.uncounted.add(("client witness", "AUDIT_ALTERED"))  # as many as could be kept
    (tmp_path / "taken").rename(path)
    welcomed_again(watched)
    watched.finish(tmp_path / "clients")
    assert verify_audit(log(watched)).lines > 4


def removed(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def written_to(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b'{"seq": 99}\n')


def replaced(path: Path) -> None:
    fresh = path.with_suffix(".fresh")
    fresh.write_bytes(path.read_bytes())
    fresh.replace(path)


def both_removed(path: Path) -> None:
    path.unlink()
    path.with_suffix(".head").unlink()


@pytest.mark.parametrize("spoil", [removed, both_removed, replaced, cut, written_to])
def test_a_log_that_was_spoiled_lets_nobody_in_and_the_server_ends_saying_so(
    watched: Any, spoil: Callable[[Path], None]
) -> None:
    visit(watched, "witness")
    before = watched.evidence.state()
    spoil(log(watched))
    assert noticed(watched) == "AUDIT_ALTERED"
    assert watched.evidence.state() == before
    watched.server.terminate()
    code = watched.server.wait()
    assert code != 0
    assert "audit log" in watched.server.stderr
    assert "are lost" in watched.server.stderr
    if spoil is not replaced:  # the same bytes: only the lines that were lost are missing
        with pytest.raises(AuditError):
            verify_audit(log(watched))


def test_an_honest_log_lets_everybody_in_and_is_sound(watched: Any, tmp_path: Path) -> None:
    """The control: the same visits to a log that nobody touched."""
    for _ in range(3):
        visit(watched, "witness")
    with pytest.raises(RefusedError):
        watched.strike(lambda a: a.heartbeat("x"), watched.project.tls("witness"))
    watched.evidence.one_line("client witness", "TOKEN_INVALID")
    watched.finish(tmp_path / "clients")
    assert verify_audit(log(watched)).lines > 6
