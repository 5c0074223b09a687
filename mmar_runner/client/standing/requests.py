# SPDX-License-Identifier: Apache-2.0
"""What a standing client does for an order, once its site allows it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.documents.strict_json import parse_strict
from mmar_runner.documents.words import printable
from mmar_runner.errors import MmarRunnerError, OrderError, ProtocolError
from mmar_runner.orders.naming import named_mmar
from mmar_runner.orders.typed import LARGEST
from mmar_runner.security.policy.orders import SHELL_COMMANDS
from mmar_runner.shell.command import shell_command
from mmar_runner.shell.system_info import system_info
from mmar_runner.waiting.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mmar_runner.client.standing.permission import Permission
    from mmar_runner.client.standing.settings import StandingSettings
    from mmar_runner.client.standing.work import StandingWork
    from mmar_runner.interfaces.admin_command import CommandCall
    from mmar_runner.orders.order import Order

#: The most bytes that a server adds to an order.
CONTEXT_BYTES: Final = 64 << 10
#: Letters of a refused order that the audit log keeps.
_SHOWN: Final = 300


class Requests:
    """Carries out orders, each beside the others. Used from the event loop.

    Args:
        permission: Judges them.
        work: What is deployed and worked for.
        settings: Of the client.

    Attributes:
        leaving: Set once the client is to end, and whoever ordered it has the answer.
        reason: Why it is to end.
        again: Whether it is to execute its own command again.
    """

    def __init__(
        self, permission: Permission, work: StandingWork, settings: StandingSettings
    ) -> None:
        self._permission = permission
        self._work = work
        self._settings = settings
        self._asking = asyncio.Lock()
        self.leaving = asyncio.Event()
        self.reason = ""
        self.again = False

    async def carry_out(self, order: bytes, context: bytes) -> dict[str, Any]:
        """Do what is ordered and return what is to be answered.

        Args:
            order: What somebody signed.
            context: A JSON object of the server's, which nobody signed.

        Raises:
            MmarRunnerError: Why it is not done; it is written down.
        """
        trust = self._settings.trust
        async with self._asking:  # one look at policy and memory at a time
            try:
                call = await in_thread(self._permission.require, order)
                facts = _context(context)
            except MmarRunnerError as error:
                said = _words(self._permission.order)
                trust.record("admin.order", "refused", error.reason, message=error.message, **said)
                raise
        trust.record(
            f"admin.{call.spec.name}", "accepted", user=call.user, targets=str(call.targets)
        )
        return await self._done(call, facts)

    def answered(self) -> None:
        """Let the client end, if it is to, now that the answer is out."""
        if self.reason:
            self.leaving.set()

    async def _done(self, call: CommandCall, facts: dict[str, Any]) -> dict[str, Any]:
        work, arguments = self._work, call.arguments
        doing: dict[str, Callable[[], Awaitable[dict[str, Any]]]] = {
            "check_status": self._status,
            "deploy": lambda: self._deploy(arguments["MMAR"], _number(facts)),
            "start": lambda: work.start(facts.get("run_number")),
            "start_mgpu": lambda: work.start(facts.get("run_number"), processes=arguments["N"]),
            "enqueue": lambda: self._deploy_and_start(arguments["MMAR"], _number(facts)),
            "abort": work.abort,
            "delete_run_number": lambda: work.delete_run(arguments["N"]),
            "restart": lambda: self._leave(call),
            "shutdown": lambda: self._leave(call),
            "sys_info": self._system_info,
            **{name: lambda: self._shell(call) for name in SHELL_COMMANDS},
        }
        return await doing[call.spec.name]()

    async def _status(self) -> dict[str, Any]:
        return self._work.facts()

    async def _deploy(self, mmar: str, number: int) -> dict[str, Any]:
        meant = named_mmar(mmar)
        await self._work.make_way(number)
        return await self._work.deploy(meant, number)

    async def _deploy_and_start(self, mmar: str, number: int) -> dict[str, Any]:
        return {**await self._deploy(mmar, number), **await self._work.start(number)}

    async def _system_info(self) -> dict[str, Any]:
        return await in_thread(system_info, self._settings.workspace)

    async def _shell(self, call: CommandCall) -> dict[str, Any]:
        """Look into the folder of the run that this client works, or worked, for."""
        if not (number := self._work.state.run_number):
            msg = "nothing is deployed at this client, so that there is no folder to look into"
            raise OrderError(msg, hint="deploy MMAR client", reason="NOT_DEPLOYED")
        folder = self._settings.workspace / f"run_{number}"
        allowed = await in_thread(self._permission.allowed_shell_commands)
        found = await in_thread(shell_command, (call.spec.name, *call.words), folder, allowed)
        return {"text": found.text, "truncated": found.truncated}

    async def _leave(self, call: CommandCall) -> dict[str, Any]:
        self.reason = f"{call.user} ordered it to {call.spec.name}"
        self.again = call.spec.name == "restart"
        return {"message": "starts again" if self.again else "ends"}


def _words(order: Order | None) -> dict[str, Any]:
    """Return who ordered what, for the record; nothing if nobody known did."""
    if order is None:
        return {}
    return {"user": order.user, "words": printable(" ".join(order.words)[:_SHOWN])}


def _context(data: bytes) -> dict[str, Any]:
    try:
        value = parse_strict(data or b"{}", limit=CONTEXT_BYTES)
    except ValueError as error:
        raise ProtocolError(f"what the server adds to the order {error}") from error
    if not isinstance(value, dict):
        msg = "what the server adds to the order is no object"
        raise ProtocolError(msg)
    return value


def _number(facts: dict[str, Any]) -> int:
    number = facts.get("run_number")
    # Kept in standing.json, and part of a folder's name: True is an int, too.
    if type(number) is not int or not 1 <= number <= LARGEST:
        msg = "the server does not say for which run"
        raise ProtocolError(msg)
    return number
