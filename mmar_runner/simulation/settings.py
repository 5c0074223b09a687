# SPDX-License-Identifier: Apache-2.0
"""What a simulation is started with, and what that makes of the MMAR."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from mmar_runner.errors import UsageError
from mmar_runner.mmar.checks.case import Asked
from mmar_runner.storage.durability import Durability

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.mmar.spec import MmarSpec

#: Where trainers live.
Backend: TypeAlias = Literal["local", "ray"]
#: A cluster that is reached through a gateway: what is sent there cannot be waited for here.
_RAY_CLIENT: Final = "ray://"


@dataclass(frozen=True, slots=True)
class SimulationSettings:
    """Everything that the command line decides about a simulation.

    Attributes:
        mmar: The MMAR's folder.
        workspace: The server's workspace; clients' folders lie in it too.
        clients: How many clients there are, named site-1 and so on.
        clients_per_round: How many work in a round, or None for all.
        rounds: How many rounds, or None for what the MMAR says.
        seed: The run's seed; None takes the MMAR's.
        variables: The ``--set`` values.
        new_run: Open a new run even if the last one can be resumed.
        retry_failed: Go on with the last run, too, if it has failed.
        durability: Whether receipts wait for the disk or only for the kernel.
        keep_models: How many of the newest round models stay; None keeps all.
        allow_byoc: Code in the MMAR's ``custom/`` may run, in child processes.
        plugins_dir: A folder of one-file plugins, or None.
        task_timeout: Seconds a task may take before its child is killed, or None.
        memory_limit_bytes: Address space that a child of either side may take, or None for no
            limit.
        policy: The policy of a site that every client goes by: its limits and its own filters;
            None for none. Nothing leaves this machine, so nothing is hidden of what fails.
        pool_size: Trainer children; None takes one a processor, at most one a client.
        synthetic: Whether trainers and validators work on data that they make up: a dry run.
        backend: Where trainers live: ``local``, in children of this process, or ``ray``.
        ray_address: The Ray cluster to use, ``host:port``; None starts one here.
    """

    mmar: Path
    workspace: Path
    clients: int
    clients_per_round: int | None = None
    rounds: int | None = None
    seed: int | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    new_run: bool = False
    retry_failed: bool = False
    durability: Durability = Durability.PROCESS
    keep_models: int | None = 2
    allow_byoc: bool = False
    plugins_dir: Path | None = None
    task_timeout: float | None = None
    memory_limit_bytes: int | None = None
    policy: Path | None = None
    pool_size: int | None = None
    synthetic: bool = False
    backend: Backend = "local"
    ray_address: str | None = None

    @property
    def names(self) -> list[str]:
        """The clients' names."""
        return [f"site-{index}" for index in range(1, self.clients + 1)]

    @property
    def children(self) -> int:
        """How many trainer children there are."""
        if self.pool_size is not None:
            return self.pool_size
        return max(1, min(self.clients, len(os.sched_getaffinity(0))))

    @property
    def all_variables(self) -> dict[str, Any]:
        """The ``--set`` values, with what the numbers of clients make of them.

        Separate processes are given the same with ``--set``, so that a site finds the
        same data in both.
        """
        return {**self.numbers, **self.variables}

    @property
    def asked(self) -> Asked:
        """What the run is asked for in place of what the MMAR says."""
        return Asked(self.rounds, self.clients_per_round, clients=self.clients)

    @property
    def numbers(self) -> dict[str, int]:
        """What the numbers of clients make of the MMAR's variables."""
        per_round = self.clients_per_round or self.clients
        return {"MIN_NUM_CLIENTS": per_round, "NUM_SITES": self.clients}


def known_key(settings: SimulationSettings, spec: MmarSpec, whose: str) -> bytes:
    """Return a key that is no secret, so that the noise of filters and rules can be had again.

    Args:
        settings: Of the simulation.
        spec: The MMAR, which has the seed if the settings have none.
        whose: Whose key it is: a client's name, or ``server``.
    """
    seed = spec.seed if settings.seed is None else settings.seed
    return sha256(f"simulated\n{seed}\n{whose}".encode()).digest()


def check_settings(settings: SimulationSettings) -> None:
    """Check the numbers.

    Raises:
        UsageError: One of them makes no sense.
    """
    per_round = settings.clients_per_round
    if settings.clients < 1:
        raise UsageError("a simulation needs at least one client", hint="--clients 2")
    if per_round is not None and not 1 <= per_round <= settings.clients:
        msg = f"{per_round} clients per round cannot be taken from {settings.clients}"
        raise UsageError(msg, hint="--clients-per-round takes 1 to the number of clients")
    if settings.rounds is not None and settings.rounds < 0:
        raise UsageError("--rounds is a count and cannot be negative")
    address = settings.ray_address
    if address is not None and settings.backend != "ray":
        raise UsageError("--ray-address is for Ray alone", hint="--backend ray")
    if address is not None and address.startswith(_RAY_CLIENT):
        msg = f"{address} is reached through a gateway, which is not enough"
        hint = "make this machine a node (ray start --address HOST:PORT), --ray-address HOST:PORT"
        raise UsageError(msg, hint=hint)


#: The highest number that a round may have, as on the wire.
_LAST_ROUND: Final = 2**31 - 1


def simulated(spec: MmarSpec, settings: SimulationSettings) -> MmarSpec:
    """Return an MMAR whose server waits for the simulated clients.

    Args:
        spec: The validated MMAR; its server part is there.
        settings: The numbers of clients and rounds.

    Raises:
        UsageError: The rounds would have higher numbers than rounds can have.
    """
    server = spec.server
    if server is None:
        msg = f"{spec.name} was validated without its server part"
        raise ValueError(msg)
    rounds = settings.rounds
    if rounds is not None and server.start_round + rounds > _LAST_ROUND:
        most = _LAST_ROUND - server.start_round
        msg = f"the run begins with round {server.start_round}, so --rounds is at most {most}"
        raise UsageError(msg, hint="lower --rounds, or start_round of the MMAR")
    changed = replace(
        server,
        min_num_clients=settings.clients_per_round or settings.clients,
        max_num_clients=max(server.max_num_clients, settings.clients),
        clients_per_round=settings.clients_per_round or server.clients_per_round,
        num_rounds=server.num_rounds if rounds is None else server.start_round + rounds,
    )
    return replace(spec, server=changed)
