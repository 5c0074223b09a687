# SPDX-License-Identifier: Apache-2.0
"""Everything that can be done with a standing server: one typed class for all who administer.

Command modules, the console's service and tests call it. The names are those of the older
systems' server administration (``ServerAdminInterface``) where there is one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmar_runner.interfaces.admin_command import CommandCall, Targets
    from mmar_runner.interfaces.admin_event import Missing


class ServerStatus(IntEnum):
    """What a server is at; the numbers are those of the older systems."""

    NOT_STARTED = 0
    STARTING = 1
    STARTED = 2
    STOPPED = 3


@dataclass(frozen=True, slots=True)
class ConnectedClient:
    """A client that waits for requests.

    Attributes:
        name: The site's name, or an instance's (``site-1_2``).
        site: The name in its certificate.
        since: When it came, UTC, ISO 8601.
        last_heard: When it was last heard of, likewise.
        version: Of its runner.
        state: What it does in the run, if it takes part in one: as in ``status.json``.
        last_round: The round of its last accepted update, or None.
        contributions: How many of its updates were accepted in this run.
        session: Names its session in the run: the beginning of the digest of its key.
    """

    name: str
    site: str
    since: str
    last_heard: str
    version: str = ""
    state: str = ""
    last_round: int | None = None
    contributions: int = 0
    session: str = ""


@dataclass(frozen=True, slots=True)
class ServerState:
    """What a server is at.

    Attributes:
        status: One of four.
        run_number: The run that is set; None if none is.
        mmar: The name of the MMAR that is deployed for it, or None.
        digest: Its digest, or None.
        run: What ``status.json`` says of the run; None before it has started.
        min_clients: Of the run; None where nothing is deployed.
        max_clients: Of the run, or of the project.
        submitted_models: Updates that the open round has.
        queue: Runs that wait, in order.
        clients: Who is there, and who is in the run.
        paused: Whether the queue waits until somebody says that it goes on.
        failed: The last runs that waited and could not begin, each with its reason.
        failures: What came to nothing of late: client, round, reason, message, log.
        refusals: Clients that did not take the MMAR of the run that is set, and the reason.
    """

    status: ServerStatus
    run_number: int | None
    mmar: str | None
    digest: str | None
    run: Mapping[str, Any] | None
    min_clients: int | None
    max_clients: int | None
    submitted_models: int
    queue: Sequence[Mapping[str, Any]] = ()
    clients: Sequence[ConnectedClient] = ()
    paused: bool = False
    failed: Sequence[Mapping[str, Any]] = ()
    failures: Sequence[Mapping[str, Any]] = ()
    refusals: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gathered:
    """What several clients answered.

    Attributes:
        replies: By client's name.
        missing: Who gave no good answer, and why.
    """

    replies: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    missing: Sequence[Missing] = ()


class ServerOperations(ABC):
    """What can be done with a standing server.

    Whoever calls it has checked rights. Everything raises `MmarRunnerError` with sentence
    and mend where it cannot be done.
    """

    # What it is at

    @abstractmethod
    def check_status(self) -> ServerState:
        """Return what the server, its run and its clients are at."""

    @abstractmethod
    def check_aggregation(self) -> Mapping[str, Any]:
        """Return of the open round: round, accepted, needed, missing, waiting_for, since."""

    @abstractmethod
    def watch(self) -> AsyncIterator[Mapping[str, Any]]:
        """Yield what ``status.json`` says whenever it changes, until the run has ended."""

    @abstractmethod
    def get_client_names(self, targets: Targets | None = None) -> list[str]:
        """Return the names of those who are there: all of them, or those that are meant."""

    @abstractmethod
    def get_task_name(self) -> str:
        """Return the federated task's name."""

    @abstractmethod
    def get_run_number(self) -> int | None:
        """Return the run that is set, or None."""

    # Runs

    @abstractmethod
    async def set_run_number(self, number: int, user: str) -> None:
        """Choose the run that is worked on next; its folder is made if it is not there."""

    @abstractmethod
    async def delete_run_number(self, number: int, user: str) -> None:
        """Delete a run's folder at the server."""

    @abstractmethod
    async def deploy_mmar(self, name: str, user: str) -> Mapping[str, Any]:
        """Take an uploaded MMAR for the run that is set; return name, digest and sites."""

    @abstractmethod
    async def start_server_training(self, user: str) -> Mapping[str, Any]:
        """Begin the run, or go on with it; return once clients can join."""

    @abstractmethod
    def require_run_of(self, user: str) -> None:
        """Refuse what concerns the run that is open, if this user may not see it."""

    @abstractmethod
    async def stop_server_training(self, reason: str) -> None:
        """Stop the run so that it can be started again; return once it has stopped."""

    @abstractmethod
    def set_min_clients(self, number: int) -> None:
        """Change for this run how many updates a round needs."""

    @abstractmethod
    async def remove_client(self, name: str, reason: str) -> str:
        """Let a client go from the run, and what it sent for the open round with it.

        Returns:
            A sentence about what became of that.
        """

    @abstractmethod
    async def reset_model_for_client(self, name: str) -> None:
        """Give a client its task of the open round again."""

    @abstractmethod
    async def enqueue(self, call: CommandCall) -> Mapping[str, Any]:
        """Let a run wait until those before it have ended; return its place and number."""

    @abstractmethod
    async def dequeue(self, position: int, user: str) -> Mapping[str, Any]:
        """Take a run that waits out of the queue."""

    @abstractmethod
    async def resume_queue(self) -> int:
        """Let the queue go on after a run was stopped; return how many runs wait."""

    @abstractmethod
    async def get_runs(self, user: str) -> list[Mapping[str, Any]]:
        """Return the runs that this user may see: number, owner, MMAR, digest, status."""

    # Clients

    @abstractmethod
    async def ask_clients(
        self, call: CommandCall, *, context: Mapping[str, Any] | None = None
    ) -> Gathered:
        """Hand an order on to the clients that it is addressed to, and gather the answers.

        Args:
            call: The order; clients believe nothing but what is signed in it.
            context: What the server adds for them.
        """

    @abstractmethod
    async def wait_for_clients(self, number: int, seconds: float) -> list[str]:
        """Wait until so many clients are connected; return their names.

        Raises:
            OrderError: NO_ANSWER, they were not in time.
        """

    @abstractmethod
    async def set_timeout(self, seconds: float) -> None:
        """Change how long clients may take to answer."""

    # The server itself

    @abstractmethod
    def fl_shutdown(self, reason: str) -> None:
        """End the server once it has answered.

        Raises:
            OrderError: CLIENTS_CONNECTED, clients are there; they are to be shut down first.
        """

    @abstractmethod
    def fl_restart(self, reason: str) -> None:
        """End the server, and let it execute its own command again."""

    # What lies there

    @abstractmethod
    def get_mmars(self, user: str) -> list[Mapping[str, Any]]:
        """Return what was uploaded and this user may see: name, digest, owner, time, bytes."""

    @abstractmethod
    async def shell(self, words: Sequence[str]) -> Mapping[str, Any]:
        """Look into the folder of the run that is set; return ``text`` and ``truncated``."""

    @abstractmethod
    async def system_info(self) -> Mapping[str, Any]:
        """Return processor, memory, disk and accelerators, as in the schema ``system_info``."""

    @abstractmethod
    def get_cross_validation_results(self) -> Mapping[str, Any]:
        """Return data client, then model owner, then metrics; empty if there are none."""

    @abstractmethod
    def authorization(self) -> Mapping[str, Any]:
        """Return the project's policy as it is in force: users, sites, orgs, rights, rules."""

    @abstractmethod
    def evaluate(self, site: str, user: str, action: str) -> list[dict[str, Any]]:
        """Return what every rule says: site, rule, accepted, message, reason, place, hint.

        Args:
            site: A client's name, or ``server``.
            user: An e-mail address; empty for a site's rule.
            action: ``upload``, ``deploy``, ``train``, ``view`` or ``operate``; or a rule's name.

        Raises:
            OrderError: ACTION_UNKNOWN.
        """
