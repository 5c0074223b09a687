# SPDX-License-Identifier: Apache-2.0
"""Runs and clients: status, deployment, start and stop, the queue (``TrainingCommandModule``)."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mmar_runner.documents.words import counted
from mmar_runner.interfaces.admin_cmd_module import AdminCmdModule
from mmar_runner.interfaces.admin_event import Event, Status, Table, Text, Value
from mmar_runner.orders.commands import TRAINING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from mmar_runner.interfaces.admin_command import CommandCall, CommandSpec
    from mmar_runner.interfaces.server_operations import (
        Gathered,
        ServerOperations,
        ServerState,
    )


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
            for event in _shown(state):
                yield event
        if call.targets.all_clients or call.targets.clients:
            gathered = await operations.ask_clients(call)
            value["clients"] = dict(gathered.replies)
            yield _client_table(gathered)
            for missing in gathered.missing:
                yield missing
        yield Value(value)

    async def _watch(self, _: CommandCall, operations: ServerOperations) -> AsyncIterator[Event]:
        facts: Mapping[str, Any] = {}
        async for facts in operations.watch():
            yield Status(facts)
        if not facts:
            yield Text("no run has begun that could be watched")
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
            yield Text(_PAUSED)
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
        yield Table(columns, _brief(found, columns), "Runs")
        yield Value({"runs": [dict(one) for one in found]})

    async def _list_mmars(
        self, call: CommandCall, operations: ServerOperations
    ) -> AsyncIterator[Event]:
        found = operations.get_mmars(call.user)
        columns = ("name", "digest", "owner", "org", "uploaded", "bytes")
        yield Table(columns, _brief(found, columns), "Uploaded MMARs")
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


def as_json(state: ServerState) -> dict[str, Any]:
    """Return a server's state for programs."""
    return {**asdict(state), "status": int(state.status), "status_name": state.status.name.lower()}


def _shown(state: ServerState) -> list[Event]:
    number = "not set" if state.run_number is None else str(state.run_number)
    run = state.run or {}
    rows = [
        ["run number", number],
        ["server status", f"{int(state.status)} ({state.status.name.lower().replace('_', ' ')})"],
        ["MMAR", state.mmar or "none is deployed"],
        ["run", _run_text(run)],
        ["round", f"{_dash(run.get('round'))} of {_dash(run.get('num_rounds'))}"],
        ["clients", _client_count(state)],
        ["updates of the round", str(state.submitted_models)],
    ]
    if waiting := run.get("waiting_for"):
        rows.append(["waiting", f"since {run.get('since')}: {waiting}"])
    events: list[Event] = [Table(("", ""), rows, "Server")]
    columns = (
        *("client", "session", "state", "last heard", "since"),
        *("last round", "updates"),
    )
    clients = [
        [
            one.name,
            one.session or "-",
            one.state or "connected",
            _clock(one.last_heard),
            _clock(one.since),
            "-" if one.last_round is None else str(one.last_round),
            str(one.contributions),
        ]
        for one in state.clients
    ]
    if clients:
        events.append(Table(columns, clients, "Clients"))
    if state.failures:
        cells = ("client", "round", "reason", "message")
        rows = [[str(one[key]) for key in cells] for one in state.failures]
        events.append(Table(cells, rows, "What came to nothing of late"))
        if log := state.failures[-1]["log"]:
            events.append(Text("the newest one's log:\n" + "\n".join(f"  {line}" for line in log)))
    if state.queue:
        cells = ("place", "mmar", "user", "queued")
        events.append(
            Table(cells, [[str(one[key]) for key in cells] for one in state.queue], "Queue")
        )
    if state.paused and state.queue:
        events.append(Text(_PAUSED))
    if state.failed:
        keys = ("mmar", "user", "failed", "reason", "message")
        failed = [[str(one[key]) for key in keys] for one in state.failed]
        events.append(Table(keys, failed, "Could not begin when their turn came"))
    return events


def _clock(moment: str) -> str:
    """Return a time of today without its date: the table is narrow enough for a terminal then."""
    today = f"{datetime.now(UTC):%Y-%m-%d}T"
    return moment.removeprefix(today)


def _client_count(state: ServerState) -> str:
    count = str(len(state.clients))
    if state.min_clients is None:  # nothing is deployed that would say how many there may be
        return count
    return f"{count} (min {state.min_clients}, max {state.max_clients})"


def _brief(found: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> list[list[str]]:
    """Return rows for people: of a digest its beginning, which tells it from all others."""
    return [
        [str(one[key] or "-")[: _DIGEST_LETTERS if key == "digest" else None] for key in columns]
        for one in found
    ]


def _run_text(run: Mapping[str, Any]) -> str:
    if not run:
        return "has not begun"
    return ": ".join(filter(None, (str(run["status"]), str(run.get("reason") or ""))))


def _dash(value: object) -> str:
    return "-" if value is None else str(value)


def _client_table(gathered: Gathered) -> Table:
    columns = ("client", "state", "run", "round", "MMAR", "message")
    rows = [
        [name, *(str(said.get(key) if said.get(key) is not None else "-") for key in _KEYS)]
        for name, said in sorted(gathered.replies.items())
    ]
    return Table(columns, rows, "What clients say")


_PAUSED = "the queue is paused: `start server` or `resume_queue` lets it go on"
_DIGEST_LETTERS = 12
#: How long clients are waited for if nobody says, in seconds.
_WAIT_SECONDS = 60.0
_KEYS = ("state", "run_number", "round", "mmar", "message")
