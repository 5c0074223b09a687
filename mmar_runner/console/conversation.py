# SPDX-License-Identifier: Apache-2.0
"""A console's talk with one server: it goes on when a session ends or the server restarts.

An order that was not carried out because the session was over is given once more, in a new
session. An order whose answer broke off is not: the server may have carried it out.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.console.helping import known_of, own_answer
from mmar_runner.console.known import KnownNames
from mmar_runner.console.moving import MOVING, moving
from mmar_runner.console.own_commands import NOT_NEEDED, OWN, TYPED, today
from mmar_runner.console.session import admin_session
from mmar_runner.errors import MmarRunnerError, RefusedError, UnreachableError, UsageError
from mmar_runner.orders.typed import understood

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from mmar_runner.console.session import AdminSession
    from mmar_runner.interfaces.admin_command import CommandCall, CommandSpec
    from mmar_runner.security.kits.kit import StartupKit

#: How long a connection that was lost may take to come back before another is made.
_PATIENCE: Final = 1.0
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"
#: How long Tab waits for names, in seconds.
_REFRESH_SECONDS: Final = 2.0
#: Between two attempts to reach a server that is not up yet, in seconds.
_PAUSE: Final = 0.3
#: Another session mends these, and nothing was carried out.
_OVER: Final = frozenset({"SESSION_OVER", "TOKEN_NOT_BOUND"})


class Conversation:
    """Orders to one server, over as many sessions as it takes; use it in ``async with``.

    Args:
        kit: An administrator's.
        target: Where the server answers administrators, ``host:port``.
        seconds: How long it may take to let us in.
        notice: Is told in a sentence when the console has logged in again.
        wait: For so many seconds a server that is away may yet come up, at the beginning.

    Attributes:
        known: Names that were heard of.
    """

    def __init__(
        self,
        kit: StartupKit,
        target: str,
        *,
        seconds: float,
        notice: Callable[[str], None],
        wait: float = 0.0,
    ) -> None:
        self._kit, self._target, self._seconds = kit, target, seconds
        self._notice, self._wait = notice, wait
        self._stack = AsyncExitStack()
        self._session: AdminSession | None = None
        self._last: AdminSession | None = None
        self._specs: Mapping[str, CommandSpec] = OWN
        self.known = KnownNames()

    async def __aenter__(self) -> Self:
        """Log in.

        Raises:
            MmarRunnerError: As `mmar_runner.console.session.admin_session`.
        """
        until = time.monotonic() + self._wait
        while True:
            try:
                await self._log_in()
            except UnreachableError:
                if time.monotonic() + _PAUSE > until:
                    raise
                await asyncio.sleep(_PAUSE)  # nothing tells that a port is open
            else:
                return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Log out."""
        await self._stack.aclose()

    @property
    def specs(self) -> Mapping[str, CommandSpec]:
        """What can be typed, by name: the server's commands, and the console's own."""
        return self._specs

    @property
    def project(self) -> str:
        """The project's name, as our own kit has it."""
        return self._kit.identity.project

    @property
    def user(self) -> str:
        """Who talks."""
        return self._kit.identity.name

    def call(self, words: Sequence[str]) -> CommandCall:
        """Return the call that typed words make.

        Raises:
            UsageError: There is no such command, or its arguments are wrong.
        """
        name, *rest = today(words, self._specs)
        if name in NOT_NEEDED and name not in self._specs:
            raise UsageError(NOT_NEEDED[name], hint="`help` lists what there is")
        if name == "download":  # where the older console had a flag
            rest = [word for word in rest if word != "--out"]
        return understood((name, *rest), self._specs, self.user)

    async def events(self, words: Sequence[str]) -> AsyncGenerator[dict[str, Any], None]:
        """Carry out what was typed and yield its events, as in the schema ``admin_event``.

        Raises:
            UsageError: The words make no order.
            RefusedError: The server refuses it.
            UnreachableError: The server is away; the next call tries to reach it again.
        """
        call = self.call(words)
        if call.spec.name in OWN:
            facts = None if self._last is None else known_of(self._last)
            for own in own_answer(call.spec.name, call.arguments, self._specs, facts or {}):
                yield own.to_json()
            yield _end()
            return
        named = self._names(call, words)
        session = await self._present()
        async with aclosing(self._ordered(session, named)) as events:
            async for event in events:
                if event["kind"] == "value":
                    self.known.hear(event["value"])
                yield event

    def _names(self, call: CommandCall, words: Sequence[str]) -> Sequence[str]:
        if call.spec.name in MOVING:
            return (call.spec.name, *(str(value) for value in call.arguments.values()))
        return today(words, self._specs)

    async def refresh(self, kind: str) -> None:
        """Ask the server for names again, unless they are fresh; nobody is told of a failure.

        Args:
            kind: ``clients`` or ``mmars``.
        """
        if self._session is None or not self.known.is_stale(kind):
            return
        words = ("list_mmars",) if kind == "mmars" else ("check_status", "server")
        try:
            async with (
                asyncio.timeout(_REFRESH_SECONDS),
                aclosing(self._session.execute(words)) as events,
            ):
                async for event in events:
                    if event["kind"] == "value":
                        self.known.hear(event["value"])
        except (MmarRunnerError, TimeoutError):
            return  # whoever may not ask, or is away, completes what was heard before

    async def _ordered(
        self, session: AdminSession, words: Sequence[str]
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Order something, and once more in a new session if the old one was over."""
        try:
            async with aclosing(_carried_out(session, words)) as events:
                async for event in events:
                    yield event
        except RefusedError as error:
            if error.reason not in _OVER:
                raise
        except UnreachableError as error:
            hint = f"whether {words[0]} was carried out is not known: `check_status server` says"
            if words[0] in MOVING:
                hint = f"what was moved stays: call {words[0]} again, and it goes on from there"
            raise UnreachableError(error.message, hint=hint) from error
        else:
            return
        session = await self._log_in_again("the session was over")
        async with aclosing(_carried_out(session, words)) as events:
            async for event in events:
                yield event

    async def _present(self) -> AdminSession:
        """Return a session whose server is there."""
        session = self._session
        if session is None:
            return await self._log_in_again("the server was away")
        if not session.is_connected:
            await session.pause(_PATIENCE)
        return session if session.is_connected else await self._log_in_again("the server was away")

    async def _log_in_again(self, why: str) -> AdminSession:
        self._session = None
        await self._stack.aclose()
        session = await self._log_in()
        self._notice(f"{why}: logged in again as {self.user}")
        return session

    async def _log_in(self) -> AdminSession:
        opening = admin_session(self._kit, self._target, seconds=self._seconds)
        session = await self._stack.enter_async_context(opening)
        self._session = self._last = session
        told = session.admitted
        self._specs = {**typed(told.specs), **OWN}
        self.known.hear_clients(told.clients)
        return session


def _end() -> dict[str, Any]:
    """Return the last event of what the console answers itself."""
    return {"kind": "end", "status": "done", "seconds": 0.0, "at": f"{datetime.now(UTC):{_TIME}}"}


def _carried_out(
    session: AdminSession, words: Sequence[str]
) -> AsyncGenerator[dict[str, Any], None]:
    return moving(session, words) if words[0] in MOVING else session.execute(words)


def typed(specs: Mapping[str, CommandSpec]) -> dict[str, CommandSpec]:
    """Return commands as they are typed: what moves files says where on this machine."""
    here = {name: TYPED[name] for name in specs if name in TYPED}
    return {**specs, **here}
