# SPDX-License-Identifier: Apache-2.0
"""A server that stands, in the process of a test: real TLS, real files, a loop of the test's.

async with office(kits.server, tmp_path / "ws") as standing:
    async with standing.session(kits.admin("lead@example.org")) as lead:
        answer = await ordered(lead, "check_status server")
"""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmar_runner.admin.office import OfficeOutcome, OfficeSettings, run_office
from mmar_runner.console.session import admin_session
from mmar_runner.hooks import load_plugins
from mmar_runner.interfaces.observer import Topic
from mmar_runner.orders.typed import split
from mmar_runner.security.audit.reading import read_audit
from mmar_runner.security.identity import Role
from mmar_runner.security.kits.kit import load_kit
from mmar_runner.storage.durability import Durability
from mmar_runner.testing.recorder import Recorder
from mmar_runner.testing.standing_stub import StandingStub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from mmar_runner.console.session import AdminSession
    from mmar_runner.testing.standing_stub import Answering

#: How long a server may take until it stands, in seconds.
_STAND_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Office:
    """A server that stands.

    Attributes:
        workspace: Its folder.
        listen: Where clients come in, ``localhost:port``.
        admin: Where administrators do.
        stop: Ends it when set.
        seen: What happened.
    """

    workspace: Path
    listen: str
    admin: str
    stop: asyncio.Event
    seen: Recorder

    def session(self, kit: Path) -> AbstractAsyncContextManager[AdminSession]:
        """Log an administrator in for a block.

        Args:
            kit: The administrator's.
        """
        return admin_session(load_kit(kit, Role.ADMIN, now=datetime.now(UTC)), self.admin)

    @asynccontextmanager
    async def clients(
        self, *kits: Path, answering: Answering | None = None
    ) -> AsyncIterator[list[StandingStub]]:
        """Let clients without a program behind them wait for requests, for a block.

        Args:
            kits: Theirs.
            answering: What they answer; None says that all is well.
        """
        async with AsyncExitStack() as stack:
            stubs = [StandingStub(kit, self.listen, answering=answering) for kit in kits]
            yield [await stack.enter_async_context(stub) for stub in stubs]

    def audit(self, **facts: Any) -> list[dict[str, Any]]:
        """Return the lines of the audit log that hold some facts.

        Args:
            facts: What a line must say, by its keys.
        """
        lines = read_audit(self.workspace / "audit.jsonl")
        return [dict(line) for line in lines if facts.items() <= line.items()]


@asynccontextmanager
async def office(kit: Path, workspace: Path, **settings: Any) -> AsyncIterator[Office]:
    """Let a server stand for a block, on free ports of loopback.

    Args:
        kit: The server's.
        workspace: Its folder.
        settings: More of `OfficeSettings`.

    Raises:
        MmarRunnerError: It cannot stand.
        AssertionError: It ended before it stood.
    """
    stop, seen = asyncio.Event(), Recorder()
    chosen = OfficeSettings(
        **{
            "kit": load_kit(kit, Role.SERVER, now=datetime.now(UTC)),
            "workspace": workspace,
            "listen": "127.0.0.1:0",
            "admin_listen": "127.0.0.1:0",
            "durability": Durability.PROCESS,
            **settings,
        }
    )
    task = asyncio.create_task(run_office(chosen, load_plugins(), seen, stop))
    try:
        where = await _standing(task, seen)
        yield Office(workspace, where["listen"], where["admin"], stop, seen)
    finally:
        stop.set()
        await task


async def _standing(task: asyncio.Task[OfficeOutcome], seen: Recorder) -> dict[str, str]:
    """Return where a server answers, once it does; by the name in its certificate."""
    loop = asyncio.get_running_loop()
    told = loop.run_in_executor(None, seen.wait_for, Topic.STANDING)
    both: set[asyncio.Future[Any]] = {task, told}
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED, timeout=_STAND_SECONDS)
    if task.done():
        msg = f"the server did not stand: {task.result()}"
        raise AssertionError(msg)
    data = (await told).data
    return {key: f"localhost:{data[key].rpartition(':')[2]}" for key in ("listen", "admin")}


@dataclass(slots=True)
class Answered:
    """What came of one order.

    Attributes:
        events: All of them.
    """

    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def value(self) -> dict[str, Any]:
        """The result for programs; empty if there was none."""
        found = [event["value"] for event in self.events if event["kind"] == "value"]
        return dict(found[-1]) if found else {}

    @property
    def missing(self) -> dict[str, str]:
        """Why there is no answer, by target."""
        return {e["target"]: e["reason"] for e in self.events if e["kind"] == "missing"}

    @property
    def status(self) -> str:
        """How it ended: ``done`` or ``partial``."""
        return str(self.events[-1]["status"])

    @property
    def text(self) -> str:
        """All of it, as JSON."""
        return json.dumps(self.events)


async def ordered(session: AdminSession, order: str | Sequence[str]) -> Answered:
    """Order something and return what came of it.

    Args:
        session: Whose.
        order: As it is typed, or its words.

    Raises:
        MmarRunnerError: It was refused.
    """
    words = split(order) if isinstance(order, str) else list(order)
    answered = Answered()
    async for event in session.execute(words):
        answered.events.append(event)
    return answered
