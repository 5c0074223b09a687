# SPDX-License-Identifier: Apache-2.0
"""Runs and clients: status, deployment, start and stop, the queue (``TrainingCommandModule``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmar_runner.admin.modules.status_view import PAUSED, as_json, brief, client_table, shown
from mmar_runner.documents.words import counted
from mmar_runner.interfaces.admin_cmd_module import AdminCmdModule
from mmar_runner.interfaces.admin_event import Event, Missing, Status, Table, Text, Value
from mmar_runner.orders.commands import TRAINING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from mmar_runner.interfaces.admin_command import CommandCall, CommandSpec
    from mmar_runner.interfaces.server_operations import ServerOperations


#: How long clients are waited for if nobody says, in seconds.
_WAIT_SECONDS = 60.0
#: How runs end that did not do all their rounds, and the reason id of that.
_UNFINISHED = {"failed": "RUN_FAILED", "stopped": "RUN_STOPPED"}
#: What changes the run that is open.
_OF_THE_RUN = frozenset({"abort", "remove_client", "reset_client", "set_min_clients"})


class TrainingCommands(AdminCmdModule):
    """Answers the commands about runs and clients."""

    def get_commands(self) -> Sequence[CommandSpec]:
        """Return what it answers."""
        return TRAINING

    async def execute(
        self, call: CommandCall, operations: ServerOperations
    ) -> AsyncIterator[Event]:
        """Carry one out."""
        if call.spec.name in _OF_THE_RUN and call.targets.server:
            operations.require_run_of(call.user)
        answer: Callable[[CommandCall, ServerOperations], AsyncIterator[Event]]
        answer = getattr(self, f"_{call.spec.name}")
        async for event in answer(call, operations):
            yield event

    async def _check_status(
        self, call: CommandCall, operations: ServerOperations
    ) -> AsyncIterator[Event]:
        value: dict[str, Any] = {}
        if call.targets.server:
            state = operations.check_status()
            value["server"] = as_json(state)
            for event in shown(state):
                yield event
        if call.targets.all_clients or call.targets.clients:
            gathered = await operations.ask_clients(call)
            value["clients"] = dict(gathered.replies)
            yield client_table(gathered)
            for missing in gathered.missing:
                yield missing
        yield Value(value)

    async def _watch(self, _: CommandCall, operations: ServerOperations) -> AsyncIterator[Event]:
        facts: Mapping[str, Any] = {}
        async for facts in operations.watch():
            yield Status(facts)
        if not facts:
            yield Text("no run has begun that could be watched")
        elif facts["status"] in _UNFINISHED:
            word = _UNFINISHED[facts["status"]]
            why = f"run {facts['run_number']} has {facts['status']}: {facts['reason']}"
            yield Missing("server", word, why)
        yield Value({"run": dict(facts)})

    async def _wait_for_clients(
        self, call: CommandCall, operations: ServerOperations
    ) -> AsyncIterator[Event]:
        seconds = call.arguments.get("SECONDS", _WAIT_SECONDS)
        names = await operations.wait_for_clients(call.arguments["N"], seconds)
        yield Text(f"{len(names)} clients are connected: {', '.join(names)}")
        yield Value({"clients": names})

    async def _set_run_number(
        self, call: CommandCall, operations: ServerOperations
    ) -> AsyncIterator[Event]:
        number = call.arguments["N"]
        await operations.set_run_number(number, call.user)
        yield Text(f"run {number} is set")
        yield Value({"run_number": number})

    async def _delete_run_number(
        self, call: CommandCall, operations: ServerOperations
    ) -> AsyncIterator[Event]:
        number = call.arguments["N"]
        if call.targets.server:
            await operations.delete_run_number(number, call.user)
            yield Text(f"run {number} is deleted at the server")
        async for event in _asked(call, operations, {"run_number": number}):
            yield event

    async def _deploy(
        self, call: CommandCall, operations: ServerOperations
    ) -> AsyncIterator[Event]:
        value: dict[str, Any] = {}
        if call.targets.server:
            value["server"] = await operations.deploy_mmar(call.arguments["MMAR"], call.user)
            facts = value["server"]
            yield Text(f"{facts['mmar']} is deployed at the server for run {facts['run_number']}")
            for site, why in facts["refused"].items():
                yield Text(f"{site} will not take part: {why}")
        async for event in _asked(call, operations, value=value):
            yield event

    async def _start(self, call: CommandCall, operations: ServerOperations) -> AsyncIterator[Event]:
        value: dict[str, Any] = {}
        if call.targets.server:
            facts = value["server"] = await operations.start_server_training(call.user)
            verb = "goes on" if facts["resumed"] else "has begun"
            yield Text(f"run {facts['run_number']} {verb} with round {facts['round']}")
        async for event in _asked(call, operations, value=value):
            yield event

    async def _start_mgpu(
        self, call: CommandCall, operations: ServerOperations
    ) -> AsyncIterator[Event]:
        async for event in _asked(call, operations):
            yield event

    async def _abort(self, call: CommandCall, operations: ServerOperations) -> AsyncIterator[Event]:
        value: dict[str, Any] = {}
        if call.targets.server:
            await operations.stop_server_training(f"{call.user} stopped it")
            value["server"] = {"stopped": True}
            yield Text("the run is stopped; `start server` goes on with it")
        async for event in _asked(call, operations, value=value):
            yield event

    async def _restart(
        self, call: CommandCall, operations: ServerOperations
    ) -> AsyncIterator[Event]:
        async for event in _asked(call, operations):
            yield event
        if call.targets.server:
            operations.fl_restart(f"{call.user} restarts it")
            yield Text("the server starts again")
            yield Value({"server": {"restarting": True}})

    async def _shutdown(
        self, call: CommandCall, operations: ServerOperations
    ) -> AsyncIterator[Event]:
        async for event in _asked(call, operations):
            yield event
        if call.targets.server:
            operations.fl_shutdown(f"{call.user} shut it down")
            yield Text("the server ends")
            yield Value({"server": {"ending": True}})

    async def _remove_client(
        self, call: CommandCall, operations: ServerOperations
    ) -> AsyncIterator[Event]:
        names = call.arguments["CLIENT"]
        for name in names:
            yield Text(await operations.remove_client(name, f"{call.user} removed it"))
        yield Value({"removed": list(names)})

    async def _reset_client(
        self, call: CommandCall, operations: ServerOperations
    ) -> AsyncIterator[Event]:
        name = call.arguments["CLIENT"]
        await operations.reset_model_for_client(name)
        yield Text(f"{name} gets its task again")
        yield Value({"client": name})

    async def _set_min_clients(
        self, call: CommandCall, operations: ServerOperations
    ) -> AsyncIterator[Event]:
        number = call.arguments["N"]
        operations.set_min_clients(number)
        yield Text(f"a round needs {number} updates from now on")
        yield Value({"min_clients": number})

    async def _set_timeout(
        self, call: CommandCall, operations: ServerOperations
    ) -> AsyncIterator[Event]:
        seconds = call.arguments["SECONDS"]
        await operations.set_timeout(seconds)
        yield Text(f"clients may take {seconds:g} s to answer")
        yield Value({"timeout": seconds})

    async def _enqueue(
        self, call: CommandCall, operations: ServerOperations
    ) -> AsyncIterator[Event]:
        facts = await operations.enqueue(call)
        yield Text(f"{facts['mmar']} waits at place {facts['place']}")
        if facts["paused"]:
            yield Text(PAUSED)
        yield Value(facts)

    async def _dequeue(
        self, call: CommandCall, operations: ServerOperations
    ) -> AsyncIterator[Event]:
        facts = await operations.dequeue(call.arguments["PLACE"], call.user)
        yield Text(f"{facts['mmar']} waits no more")
        yield Value(facts)

    async def _resume_queue(
        self, _: CommandCall, operations: ServerOperations
    ) -> AsyncIterator[Event]:
        waiting = await operations.resume_queue()
        yield Text(f"the queue goes on: {counted(waiting, 'run')} in it")
        yield Value({"paused": False, "waiting": waiting})

    async def _list_runs(
        self, call: CommandCall, operations: ServerOperations
    ) -> AsyncIterator[Event]:
        found = await operations.get_runs(call.user)
        columns = ("run_number", "status", "mmar", "digest", "owner")
        yield Table(columns, brief(found, columns), "Runs")
        yield Value({"runs": [dict(one) for one in found]})

    async def _list_mmars(
        self, call: CommandCall, operations: ServerOperations
    ) -> AsyncIterator[Event]:
        found = operations.get_mmars(call.user)
        columns = ("name", "digest", "owner", "org", "uploaded", "bytes")
        yield Table(columns, brief(found, columns), "Uploaded MMARs")
        yield Value({"mmars": [dict(one) for one in found]})


async def _asked(
    call: CommandCall,
    operations: ServerOperations,
    context: Mapping[str, Any] | None = None,
    *,
    value: dict[str, Any] | None = None,
) -> AsyncIterator[Event]:
    """Ask the clients that are meant, if any are, and yield their answers as one table."""
    value = {} if value is None else value
    if call.targets.all_clients or call.targets.clients:
        gathered = await operations.ask_clients(call, context=context)
        value["clients"] = dict(gathered.replies)
        rows = [[name, str(said.get("message", "done"))] for name, said in gathered.replies.items()]
        if rows:
            yield Table(("client", "answer"), rows)
        for missing in gathered.missing:
            yield missing
    yield Value(value)
