# SPDX-License-Identifier: Apache-2.0
"""What a standing server is at, as administrators are told: read, and nothing changed."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.interfaces.server_operations import ConnectedClient, ServerState
from mmar_runner.server.wording import utc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from mmar_runner.admin.clients.hub import Listener, RequestHub
    from mmar_runner.admin.entrance.access import Access
    from mmar_runner.admin.runs.federation_state import QueuedRun, RunEntry
    from mmar_runner.admin.runs.run_desk import RunDesk
    from mmar_runner.mmar.spec import ServerSpec
    from mmar_runner.server.parts import RunParts
    from mmar_runner.server.records.workspace import RunFolder, Workspace

_SUMMARY_BYTES: Final = 16 << 20
#: Letters of the digest of a client's session key that are shown: enough to tell two apart.
_SESSION_LETTERS: Final = 8
#: How often somebody who watches is told what has changed, in seconds.
_WATCH_SECONDS: Final = 1.0


class ServerView:
    """Looks at the parts of one standing server. Used from the event loop.

    Args:
        desk: Runs.
        hub: Clients that wait for requests.
        access: Who may see what.
        workspace: The server's.
    """

    def __init__(
        self, desk: RunDesk, hub: RequestHub, access: Access, workspace: Workspace
    ) -> None:
        self._desk = desk
        self._hub = hub
        self._access = access
        self._workspace = workspace

    def state(self) -> ServerState:
        """Return what the server, its run and its clients are at."""
        kept, parts = self._desk.state, self._desk.parts
        entry, taken = kept.current, self._desk.taken
        run = self._desk.past() if parts is None else dict(parts.board.facts())
        server = None if taken is None else taken.spec.server
        book = None if parts is None else parts.coordinator.round
        return ServerState(
            status=self._desk.status,
            run_number=kept.run_number,
            mmar=entry.mmar or None if entry else None,
            digest=entry.digest or None if entry else None,
            run=run,
            min_clients=_least(parts, server),
            max_clients=server.max_num_clients if server else None,
            submitted_models=0 if book is None else len(book.accepted),
            queue=[queued_facts(place, one) for place, one in enumerate(kept.queue, 1)],
            paused=kept.paused,
            failed=[asdict(one) for one in kept.failed],
            clients=self._clients(run),
            failures=list(self._desk.contributions.failures),
            refusals={k: why for k, why in entry.clients.items() if why} if entry else {},
        )

    def aggregation(self) -> Mapping[str, Any]:
        """Return what the open round has and lacks."""
        parts = self._desk.parts
        if parts is None:
            return {"round": None, "accepted": [], "missing": [], "waiting_for": ""}
        current, facts = parts.coordinator.round, parts.board.facts()
        return {
            "round": facts["round"],
            "accepted": sorted(current.accepted) if current else [],
            "missing": list(parts.coordinator.missing()),
            "waiting_for": facts["waiting_for"],
            "since": facts["since"],
        }

    async def run_as_it_goes(self) -> AsyncIterator[Mapping[str, Any]]:
        """Yield what the run is at, about every second, until it has ended."""
        seen: object = None
        while self._desk.is_running:
            parts = self._desk.parts
            if parts is not None and (facts := dict(parts.board.facts())) != seen:
                seen = facts
                yield facts
            await self._desk.ended(within=_WATCH_SECONDS)
        if (past := self._desk.past()) is not None:
            yield past

    def runs(self, user: str) -> list[Mapping[str, Any]]:
        """Return the runs that have a folder and this user may see, by number. Blocks."""
        entries = [one for _, one in sorted(self._desk.state.runs.items())]
        return [self._run(one) for one in entries if self._access.sees(user, one.org)]

    def _run(self, entry: RunEntry) -> Mapping[str, Any]:
        """Return what is known of a run."""
        is_open = self._desk.is_running and entry.number == self._desk.state.run_number
        return {
            "run_number": entry.number,
            "owner": entry.owner,
            "org": entry.org,
            "mmar": entry.mmar or None,
            "digest": entry.digest or None,
            "status": "running" if is_open else _ended_as(self._workspace.run(entry.number)),
        }

    def _clients(self, run: Mapping[str, Any] | None) -> list[ConnectedClient]:
        in_run = {one["name"]: one for one in (run or {}).get("clients", ())}
        listening = {listener.name: listener for listener in self._hub.listeners}
        names = sorted({*in_run, *listening})
        return [self._client(name, listening.get(name), in_run.get(name)) for name in names]

    def _client(
        self, name: str, listener: Listener | None, facts: Mapping[str, Any] | None
    ) -> ConnectedClient:
        counted, parts = self._desk.contributions, self._desk.parts
        member = None if parts is None else parts.members.known(name)
        heard = "" if facts is None else facts["last_heard"] or ""
        return ConnectedClient(
            name=name,
            site=self._access.site_of(name),
            since="" if listener is None else utc(listener.since),
            last_heard=heard if listener is None else max(heard, utc(listener.heard)),
            version="" if listener is None else listener.version,
            state="" if facts is None else str(facts["state"]),
            last_round=counted.last.get(name),
            contributions=counted.accepted[name],
            session="" if member is None else member.key_sha256[:_SESSION_LETTERS],
        )


def _ended_as(folder: RunFolder) -> str | None:
    """Return how a run has ended, as its summary says; None if it has none."""
    try:
        with folder.summary.open("rb") as file:
            return str(json.loads(file.read(_SUMMARY_BYTES))["status"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _least(parts: RunParts | None, server: ServerSpec | None) -> int | None:
    """Return how many updates a round needs, as an administrator may have changed it."""
    if parts is not None:
        return parts.coordinator.min_clients
    return server.min_num_clients if server else None


def queued_facts(place: int, entry: QueuedRun) -> Mapping[str, Any]:
    """Return what is told of a run that waits."""
    return {
        "place": place,
        "mmar": entry.mmar,
        "digest": entry.digest,
        "user": entry.user,
        "clients": list(entry.clients),
        "queued": entry.queued,
    }
