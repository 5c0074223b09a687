# SPDX-License-Identifier: Apache-2.0
"""What a server is started with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.storage.durability import Durability

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.mmar.spec import MmarSpec, ServerSpec
    from mmar_runner.server.trust import ServerTrust
    from mmar_runner.server.upstream import Upstream

#: How long a component in a child may take for one update, a result or a model, in seconds,
#: unless whoever runs the server says otherwise.
OWN_CODE_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Everything that the command line, or a simulation, decides about a server.

    Attributes:
        spec: The validated MMAR; its server part is there.
        workspace: The folder that holds ``endpoint.json`` and the runs.
        listen: ``host:port`` (port 0 picks a free one) or ``unix:/path``.
        seed: The run's seed; None takes the MMAR's.
        keep_models: How many of the newest round models stay; None keeps all.
        new_run: Open a new run even if the last one can be resumed.
        retry_failed: Go on with the last run, too, if it has failed.
        durability: Whether receipts wait for the disk or only for the kernel.
        expected_clients: The first round waits for so many clients, if given.
        variables: The ``--set`` values, which are part of a run's identity.
        plugins_dir: A folder of one-file plugins, for the server's children.
        trust: Identity and rules of a start-up kit; None speaks plain text, which is
            allowed on loopback only.
        token_seconds: How long a session's token is good for.
        heartbeats_per_second: How many heartbeats of all clients there are at most: a lease of
            thousands is longer for it. None for the usual number.
        metrics: Where this process serves metrics, ``host:port``; None if nowhere.
        allow_byoc: Code in the MMAR's ``custom/`` may run in children of the server, as far as it
            runs any; with a kit the rules have decided that before.
        task_timeout: Seconds that a component in a child may take for an update, a result, a model.
        memory_limit_bytes: Address space that a component in a child may take; None for no limit.
        known_key: What an aggregator's secrets are made of in a simulation; None takes what only
            this server knows.
        synthetic: Whether a model validator works on data that it makes up: a dry run.
        upstream: The way up, if this server is a combiner; None for one that makes the models.
        pinned: Of a server that assigns clients to its combiners (``min_num_clients`` counts them
            then): the one combiner that a client must have, by the client's name; None elsewhere.
    """

    spec: MmarSpec
    workspace: Path
    listen: str = "127.0.0.1:8002"
    seed: int | None = None
    keep_models: int | None = 2
    new_run: bool = False
    retry_failed: bool = False
    durability: Durability = Durability.FULL
    expected_clients: int | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    plugins_dir: Path | None = None
    trust: ServerTrust | None = None
    token_seconds: float = 900.0
    heartbeats_per_second: float | None = None
    metrics: str | None = None
    allow_byoc: bool = False
    task_timeout: float = OWN_CODE_SECONDS
    memory_limit_bytes: int | None = None
    known_key: bytes | None = field(default=None, repr=False)
    synthetic: bool = False
    upstream: Upstream | None = None
    pinned: Mapping[str, str] | None = None

    @property
    def server(self) -> ServerSpec:
        """The MMAR's server part."""
        if self.spec.server is None:
            msg = f"{self.spec.name} was validated without its server part"
            raise ValueError(msg)
        return self.spec.server

    @property
    def assigns(self) -> bool:
        """Whether it assigns clients to its combiners."""
        return self.pinned is not None

    @property
    def durable(self) -> bool:
        """Whether receipts wait for the disk."""
        return self.durability is Durability.FULL

    @property
    def runs_own_code(self) -> bool:
        """Whether code of the MMAR may run in the server's children."""
        return self.allow_byoc or self.trust is not None

    @property
    def allowed_path_prefixes(self) -> tuple[str, ...] | None:
        """Class paths that the policy allows in the server's children; None without a policy."""
        return None if self.trust is None else self.trust.allowed_path_prefixes

    @property
    def run_seed(self) -> int:
        """The seed in force."""
        return self.spec.seed if self.seed is None else self.seed
