# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: ARG002 - what the interface hands over is not looked at
"""A standing server that is none: it answers command modules, and does nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mmar_runner.interfaces.server_operations import (
    ConnectedClient,
    Gathered,
    ServerOperations,
    ServerState,
    ServerStatus,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from mmar_runner.interfaces.admin_command import CommandCall, Targets

_TIME: Final = "2026-01-01T12:00:00Z"
_ORG: Final = "a.org"
_USERS: Final = ("lead@a.org", "lead@example.org")
_RUN: Final[Mapping[str, Any]] = {
    "status": "running",
    "reason": "",
    "run_number": 1,
    "num_rounds": 3,
    "round": 1,
    "waiting_for": "1 of 2 updates",
    "since": _TIME,
    "clients": [],
    "missing": [{"name": "site-2", "since": _TIME}],
    "pid": 1,
    "updated": _TIME,
}
_CLIENTS: Final = tuple(
    ConnectedClient(name, name, _TIME, _TIME, version="0.1.0") for name in ("site-1", "site-2")
)


class QuietOperations(ServerOperations):
    """A federation of two clients in round 1 of a run; whatever is ordered is noted.

    Attributes:
        done: What was ordered: names of methods, in order.
    """

    def __init__(self) -> None:
        self.done: list[str] = []

    def check_status(self) -> ServerState:
        """Return a server that has begun a run."""
        return ServerState(
            status=ServerStatus.STARTED,
            run_number=1,
            mmar="study",
            digest="0" * 64,
            run=_RUN,
            min_clients=2,
            max_clients=10,
            submitted_models=1,
            clients=_CLIENTS,
        )

    def check_aggregation(self) -> Mapping[str, Any]:
        """Return a round that one client lacks."""
        return {
            "round": 1,
            "accepted": ["site-1"],
            "needed": 2,
            "missing": ["site-2"],
            "waiting_for": "1 of 2 updates",
            "since": _TIME,
        }

    async def watch(self) -> AsyncIterator[Mapping[str, Any]]:
        """Yield two statuses."""
        yield _RUN
        yield {**_RUN, "status": "finished"}

    def get_client_names(self, targets: Targets | None = None) -> list[str]:
        """Return two names, or those of them that are meant."""
        names = [client.name for client in _CLIENTS]
        return [name for name in names if targets is None or targets.meets(name)]

    def get_task_name(self) -> str:
        """Return a name."""
        return "study"

    def get_run_number(self) -> int | None:
        """Return 1."""
        return 1

    async def set_run_number(self, number: int, user: str) -> None:
        """Note it."""
        self.done.append("set_run_number")

    async def delete_run_number(self, number: int, user: str) -> None:
        """Note it."""
        self.done.append("delete_run_number")

    async def deploy_mmar(self, name: str, user: str) -> Mapping[str, Any]:
        """Note it."""
        self.done.append("deploy_mmar")
        return {"mmar": name, "digest": "0" * 64, "run_number": 1, "sites": [], "refused": {}}

    async def start_server_training(self, user: str) -> Mapping[str, Any]:
        """Note it."""
        self.done.append("start_server_training")
        return {"run_number": 1, "round": 0, "resumed": False}

    def require_run_of(self, user: str) -> None:
        """Refuse nobody: whoever asks may see the run."""

    async def stop_server_training(self, reason: str) -> None:
        """Note it."""
        self.done.append("stop_server_training")

    def set_min_clients(self, number: int) -> None:
        """Note it."""
        self.done.append("set_min_clients")

    async def remove_client(self, name: str, reason: str) -> str:
        """Note it."""
        self.done.append("remove_client")
        return f"{name} is removed"

    async def reset_model_for_client(self, name: str) -> None:
        """Note it."""
        self.done.append("reset_model_for_client")

    async def enqueue(self, call: CommandCall) -> Mapping[str, Any]:
        """Note it."""
        self.done.append("enqueue")
        return {"mmar": call.arguments["MMAR"], "place": 1, "paused": False}

    async def dequeue(self, position: int, user: str) -> Mapping[str, Any]:
        """Note it."""
        self.done.append("dequeue")
        return {"mmar": "study", "place": position}

    async def resume_queue(self) -> int:
        """Note it."""
        self.done.append("resume_queue")
        return 0

    async def get_runs(self, user: str) -> list[Mapping[str, Any]]:
        """Return one run."""
        run = {"run_number": 1, "status": "running", "mmar": "study", "digest": "0" * 64}
        return [{**run, "owner": user, "org": "org-server"}]

    async def ask_clients(
        self, call: CommandCall, *, context: Mapping[str, Any] | None = None
    ) -> Gathered:
        """Note it; everybody says that it is done."""
        self.done.append("ask_clients")
        return Gathered({name: {"message": "done"} for name in self.get_client_names(call.targets)})

    async def wait_for_clients(self, number: int, seconds: float) -> list[str]:
        """Return those who are there."""
        return self.get_client_names()

    async def set_timeout(self, seconds: float) -> None:
        """Note it."""
        self.done.append("set_timeout")

    def fl_shutdown(self, reason: str) -> None:
        """Note it."""
        self.done.append("fl_shutdown")

    def fl_restart(self, reason: str) -> None:
        """Note it."""
        self.done.append("fl_restart")

    def get_mmars(self, user: str) -> list[Mapping[str, Any]]:
        """Return one MMAR."""
        facts = {"name": "study", "digest": "0" * 64, "owner": user, "org": "org-server"}
        return [{**facts, "uploaded": _TIME, "bytes": 1000}]

    async def shell(self, words: Sequence[str]) -> Mapping[str, Any]:
        """Note it."""
        self.done.append("shell")
        return {"text": "", "truncated": False}

    async def system_info(self) -> Mapping[str, Any]:
        """Return nothing."""
        return {}

    def get_cross_validation_results(self) -> Mapping[str, Any]:
        """Return one cell of a matrix."""
        return {"site-1": {"site-2": {"val_accuracy": 0.5}}}

    def authorization(self) -> Mapping[str, Any]:
        """Return a policy of one organisation without rules of its own."""
        sites = dict.fromkeys(("server", "site-1", "site-2"), _ORG)
        return {
            "roles": {"lead": ""},
            "users": {user: {"org": _ORG, "roles": ["lead"]} for user in _USERS},
            "orgs": {_ORG: []},
            "sites": sites,
            "groups": {},
            "rights": {},
            "rules": {},
        }

    def evaluate(self, site: str, user: str, action: str) -> list[dict[str, Any]]:
        """Return one rule, which accepts."""
        said = {"site": site, "rule": action, "accepted": True, "message": "it may be done"}
        return [{**said, "reason": "", "place": "", "hint": ""}]
