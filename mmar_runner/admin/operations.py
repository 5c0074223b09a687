# SPDX-License-Identifier: Apache-2.0
"""Everything that can be done with a standing server, put together from its parts."""

from __future__ import annotations

import asyncio
import base64
import shutil
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.admin.entrance.access import unknown
from mmar_runner.admin.runs.federation_state import QueuedRun, RunEntry
from mmar_runner.admin.server_view import ServerView, queued_facts
from mmar_runner.errors import OrderError
from mmar_runner.interfaces.server_operations import Gathered, ServerOperations, ServerState
from mmar_runner.orders.naming import named_mmar
from mmar_runner.server.records.cross_site_results import CrossSiteResults
from mmar_runner.shell.command import shell_command
from mmar_runner.shell.system_info import system_info
from mmar_runner.storage.atomic import translated
from mmar_runner.waiting.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from mmar_runner.admin.clients.hub import RequestHub
    from mmar_runner.admin.entrance.access import Access
    from mmar_runner.admin.files.transfers import Transfers
    from mmar_runner.admin.leaving import Leaving
    from mmar_runner.admin.runs.run_desk import RunDesk
    from mmar_runner.interfaces.admin_command import CommandCall, Targets
    from mmar_runner.orders.naming import NamedMmar
    from mmar_runner.security.decision import Step
    from mmar_runner.server.records.workspace import Workspace

#: Runs that may wait.
MOST_QUEUED: Final = 100
#: What clients fetch a package for, and how long that may take at least, in seconds.
_FETCHING: Final = frozenset({"deploy", "enqueue"})
FETCH_SECONDS: Final = 60.0
#: What clients do to a run: to the one that is set, or to the one that is named.
_DELETING: Final = "delete_run_number"
_OF_A_RUN: Final = frozenset({"deploy", "start", "start_mgpu", "abort", _DELETING})


class Operations(ServerOperations):
    """What can be done with one standing server. Used from the event loop.

    Args:
        desk: Runs.
        hub: Clients that wait for requests.
        access: Who may see what.
        transfers: What was uploaded.
        workspace: The server's.
        leaving: How the server itself ends.
    """

    def __init__(
        self,
        desk: RunDesk,
        hub: RequestHub,
        access: Access,
        *,
        transfers: Transfers,
        workspace: Workspace,
        leaving: Leaving,
    ) -> None:
        self._desk = desk
        self._hub = hub
        self._access = access
        self._transfers = transfers
        self._workspace = workspace
        self._leaving = leaving
        self._view = ServerView(desk, hub, access, workspace)

    # What it is at

    def check_status(self) -> ServerState:
        """Return what the server, its run and its clients are at."""
        return self._view.state()

    def check_aggregation(self) -> Mapping[str, Any]:
        """Return what the open round has and lacks."""
        return self._view.aggregation()

    def watch(self) -> AsyncIterator[Mapping[str, Any]]:
        """Yield what the run is at, about every second, until it has ended."""
        return self._view.run_as_it_goes()

    def get_client_names(self, targets: Targets | None = None) -> list[str]:
        """Return the names of those who are there, or of those that are meant."""
        present = [listener.name for listener in self._hub.listeners]
        if targets is None or targets.all_clients:
            return present
        return list(targets.clients)

    def get_task_name(self) -> str:
        """Return the federated task's name."""
        taken = self._desk.taken
        if taken is None or taken.spec.server is None:
            msg = "nothing is deployed at the server"
            raise OrderError(msg, hint="deploy MMAR server", reason="NOT_DEPLOYED")
        return taken.spec.server.task_name

    def get_run_number(self) -> int | None:
        """Return the run that is set, or None."""
        return self._desk.state.run_number

    # Runs

    async def set_run_number(self, number: int, user: str) -> None:
        """Choose the run that is worked on next.

        Raises:
            OrderError: RUN_OPEN or QUEUE_FULL.
            NotAuthorizedError: UNKNOWN, it is another organisation's.
        """
        self._desk.require_idle("no other run is chosen")
        state = self._desk.state
        if number in state.runs:
            self._access.require_run(number, state.runs, user)
        else:
            self._desk.require_room()
            state.runs[number] = RunEntry(number, user, self._access.org_of(user))
        state.run_number = number
        await in_thread(self._desk.choose, number)

    async def delete_run_number(self, number: int, user: str) -> None:
        """Delete a run's folder at the server.

        Raises:
            OrderError: RUN_OPEN, it is the run that is open.
            NotAuthorizedError: UNKNOWN, there is none, or it is another organisation's.
        """
        state = self._desk.state
        if number == state.run_number:
            self._desk.require_idle("its files are not deleted")
        folder = self._workspace.run(number)
        # A folder that nobody chose here is for those who may see everything.
        unowned = number not in state.runs and folder.path.exists()
        if not (unowned and self._access.sees_all(user)):
            self._access.require_run(number, state.runs, user)
        with translated(folder.path):
            if folder.path.exists():
                await in_thread(shutil.rmtree, folder.path)
        state.runs.pop(number, None)
        if state.run_number == number:
            state.run_number = None
        await in_thread(self._desk.save)

    async def deploy_mmar(self, name: str, user: str) -> Mapping[str, Any]:
        """Take an uploaded MMAR for the run that is set.

        Args:
            name: The MMAR's, or ``NAME@DIGEST``; see `mmar_runner.orders.naming`.
            user: Who wants it.

        Raises:
            NotAuthorizedError: UNKNOWN, the MMAR or the run is another organisation's, or
                there is none.
            OrderError: MMAR_DIFFERS, another one is uploaded under that name.
        """
        meant = named_mmar(name)
        folder = self._uploaded(meant, user)
        entry = self._desk.require_entry()
        self._access.require_run(entry.number, self._desk.state.runs, user)
        taken = await self._desk.deploy(folder, number=entry.number)
        refusals = taken.deployment.refusals
        return {
            "mmar": meant.name,
            "digest": taken.digest,
            "run_number": self._desk.state.run_number,
            "sites": sorted(taken.deployment.decisions),
            "refused": dict(refusals),
        }

    async def start_server_training(self, user: str) -> Mapping[str, Any]:
        """Begin the run, or go on with it."""
        entry = self._desk.require_entry()
        self._access.require_run(entry.number, self._desk.state.runs, user)
        self._desk.state.paused = False
        parts = await self._desk.start(number=entry.number)
        return {
            "run_number": entry.number,
            "resumed": parts.opened.resumed,
            "round": parts.coordinator.next_round,
        }

    def require_run_of(self, user: str) -> None:
        """Refuse what concerns the run that is open, if this user may not see it.

        Raises:
            OrderError: NO_RUN, none is open that this user may see.
        """
        entry = self._desk.state.current
        if not self._desk.is_running or entry is None or not self._access.sees(user, entry.org):
            raise OrderError("no run is open", hint="start server", reason="NO_RUN")

    async def stop_server_training(self, reason: str) -> None:
        """Stop the run so that it can be started again."""
        await self._desk.stop(reason)

    def set_min_clients(self, number: int) -> None:
        """Change for this run how many updates a round needs."""
        self._desk.require_parts().coordinator.set_min_clients(number)

    async def remove_client(self, name: str, reason: str) -> str:
        """Let a client go from the run, and what it sent for the open round with it."""
        return await self._desk.require_parts().members.remove(name, reason)

    async def reset_model_for_client(self, name: str) -> None:
        """Give a client its task of the open round again."""
        self._desk.require_parts().coordinator.give_again(name)

    async def enqueue(self, call: CommandCall) -> Mapping[str, Any]:
        """Let a run wait until those before it have ended.

        Raises:
            NotAuthorizedError: UNKNOWN, there is no such MMAR, or it is another organisation's.
            OrderError: QUEUE_FULL; MMAR_DIFFERS, another one is uploaded under that name.
        """
        meant, state = named_mmar(call.arguments["MMAR"]), self._desk.state
        self._uploaded(meant, call.user)
        if len(state.queue) >= MOST_QUEUED:
            msg = f"{MOST_QUEUED} runs wait already"
            raise OrderError(msg, hint="dequeue PLACE, or wait", reason="QUEUE_FULL")
        self._desk.require_room()
        entry = QueuedRun(
            mmar=meant.name,
            digest=self._transfers.digest_of(meant.name) or "",
            user=call.user,
            org=self._access.org_of(call.user),
            clients=list(call.targets.clients),
            order=base64.b64encode(call.order).decode(),
            queued=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        )
        state.queue.append(entry)
        place = len(state.queue)
        await in_thread(self._desk.save)
        self._desk.look_at_queue()
        return {**queued_facts(place, entry), "paused": state.paused}

    async def dequeue(self, position: int, user: str) -> Mapping[str, Any]:
        """Take a run that waits out of the queue.

        Raises:
            NotAuthorizedError: UNKNOWN, there is none, or it is another organisation's.
        """
        queue = self._desk.state.queue
        entry = queue[position - 1] if position <= len(queue) else None
        if entry is None or not self._access.sees(user, entry.org):
            raise unknown("place in the queue", str(position), ())
        queue.remove(entry)
        await in_thread(self._desk.save)
        return queued_facts(position, entry)

    async def resume_queue(self) -> int:
        """Let the queue go on, and return how many runs wait."""
        self._desk.state.paused = False
        await in_thread(self._desk.save)
        self._desk.look_at_queue()
        return len(self._desk.state.queue)

    async def get_runs(self, user: str) -> list[Mapping[str, Any]]:
        """Return the runs that have a folder and this user may see, by number."""
        return await in_thread(self._view.runs, user)

    def _uploaded(self, meant: NamedMmar, user: str) -> Path:
        """Return the folder of an MMAR that this user may see, if it is the one that is meant."""
        folder = self._transfers.require(meant.name, user)
        meant.require(self._transfers.digest_of(meant.name) or "", whose="the server has")
        return folder

    # Clients

    async def ask_clients(
        self, call: CommandCall, *, context: Mapping[str, Any] | None = None
    ) -> Gathered:
        """Hand an order on to clients and gather the answers."""
        state = self._desk.state
        names = self.get_client_names(call.targets)
        self._require_run_at_clients(call, names)
        facts = {"run_number": state.run_number, **(context or {})}
        seconds = state.timeout
        if call.spec.name in _FETCHING:
            seconds = max(seconds, FETCH_SECONDS)
        gathered = await self._hub.ask(names, call.order, facts, seconds)
        if call.spec.name in _FETCHING and (entry := state.current) is not None:
            entry.clients.update(dict.fromkeys(gathered.replies, ""))
            entry.clients.update({one.target: one.reason for one in gathered.missing})
            await in_thread(self._desk.save)
        return gathered

    def _require_run_at_clients(self, call: CommandCall, names: Sequence[str]) -> None:
        """Refuse to lay hands on another organisation's run at sites that are not the user's.

        What its own sites do is an organisation's own affair, whoever's the run is.

        Raises:
            NotAuthorizedError: UNKNOWN.
        """
        runs, current = self._desk.state.runs, self._desk.state.run_number
        number = call.arguments["N"] if call.spec.name == _DELETING else current
        if call.spec.name not in _OF_A_RUN or number not in runs:
            return
        org, sites = self._access.org_of(call.user), self._access.authorization.sites
        if any(sites.get(self._access.site_of(name)) != org for name in names):
            self._access.require_run(number, runs, call.user)

    async def wait_for_clients(self, number: int, seconds: float) -> list[str]:
        """Wait until so many clients are connected."""
        try:
            async with asyncio.timeout(seconds):
                while len(names := self.get_client_names()) < number:
                    await self._hub.changes.wait()
        except TimeoutError:
            msg = f"{len(names)} of {number} clients came within {seconds:g} s"
            hint = f"there are: {', '.join(names) or 'none'}; see the logs of the others"
            raise OrderError(msg, hint=hint, reason="NO_ANSWER") from None
        return names

    async def set_timeout(self, seconds: float) -> None:
        """Change how long clients may take to answer."""
        self._desk.state.timeout = seconds
        await in_thread(self._desk.save)

    # The server itself

    def fl_shutdown(self, reason: str) -> None:
        """End the server once it has answered."""
        if names := self.get_client_names():
            msg = f"{len(names)} clients are connected: {', '.join(names[:10])}"
            hint = "shut them down first: shutdown client"
            raise OrderError(msg, hint=hint, reason="CLIENTS_CONNECTED")
        self._leaving.leave(reason)

    def fl_restart(self, reason: str) -> None:
        """End the server, and let it execute its own command again."""
        self._leaving.leave(reason, again=True)

    # What lies there

    def get_mmars(self, user: str) -> list[Mapping[str, Any]]:
        """Return what was uploaded and this user may see."""
        return self._transfers.visible(user)

    async def shell(self, words: Sequence[str]) -> Mapping[str, Any]:
        """Look into the folder of the run that is set."""
        entry = self._desk.require_entry()
        folder = self._workspace.run(entry.number).path
        allowed = self._access.policy.admin.get("allowed_shell_cmds", ())
        found = await in_thread(shell_command, words, folder, allowed)
        return {"text": found.text, "truncated": found.truncated}

    async def system_info(self) -> Mapping[str, Any]:
        """Return processor, memory, disk and accelerators."""
        return await in_thread(system_info, self._workspace.path)

    def get_cross_validation_results(self) -> Mapping[str, Any]:
        """Return data client, then model owner, then metrics; empty if there are none."""
        folder = self._desk.folder
        return {} if folder is None else CrossSiteResults(folder).load()

    def authorization(self) -> Mapping[str, Any]:
        """Return the project's policy as it is in force."""
        return asdict(replace(self._access.authorization, document=None))

    def evaluate(self, site: str, user: str, action: str) -> list[dict[str, Any]]:
        """Return what every rule says."""
        return [_step_json(site, step) for step in self._access.steps(site, user, action)]


def _step_json(site: str, step: Step) -> dict[str, Any]:
    return {
        "site": site,
        "rule": step.rule,
        "accepted": step.accepted,
        "message": step.message,
        "reason": step.reason,
        "place": "" if step.policy is None else str(step.policy),
        "hint": step.hint or "",
    }
