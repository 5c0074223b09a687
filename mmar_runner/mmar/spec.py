# SPDX-License-Identifier: Apache-2.0
"""What a validated MMAR says, as immutable values.

Everything that runs an MMAR reads it from here; nobody parses its files again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mmar_runner.federation.cross_site import CrossSitePlan

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.interfaces.catalog import ComponentKind

_EMPTY: Mapping[str, Any] = MappingProxyType({})


class Generation(StrEnum):
    """Which archives the configuration files are like."""

    CLARA_3 = "clara-3.1"
    CLARA_4 = "clara-4"


@dataclass(frozen=True, slots=True)
class ComponentSpec:
    """One declared component.

    Attributes:
        kind: What it is.
        declaration: What `hooks.components` builds: ``{"name", "args"}`` with the
            registered name, or ``{"path", "args"}`` for BYOC and prefix paths.
        name: How people call it: the registered name, or the path.
        args: The declared arguments, variables replaced.
        file: The file that declares it, relative to the MMAR's root.
        pointer: Its JSON pointer in that file.
        byoc: True if the code comes from the MMAR's ``custom/``.
        line: The line of that file, from 1; 0 if it is not known.
    """

    kind: ComponentKind
    declaration: Mapping[str, Any]
    name: str
    args: Mapping[str, Any]
    file: str
    pointer: str
    byoc: bool = False
    line: int = 0

    @property
    def place(self) -> str:
        """Where it is declared: ``config/config_fed_server.json:12``."""
        return f"{self.file}:{self.line}" if self.line else f"{self.file}{self.pointer}"

    @property
    def label(self) -> str:
        """What it is called in sentences about its failures: kind, name and place."""
        return f"the {self.kind.value.replace('_', ' ')} {self.name} ({self.place})"


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """What ``config_fed_server.json`` declares; times in seconds.

    Attributes:
        task_name: The federated task; server and clients must agree on it.
        min_num_clients: Updates needed to close a round.
        max_num_clients: Clients that may be registered at once.
        wait_after_min_clients: How long a round stays open after the min-th update.
        heart_beat_timeout: Without a heartbeat for so long, a client is removed.
        start_round: The first round.
        num_rounds: The round to stop at (not a count); negative never stops.
        aggregator: Combines the updates of a round.
        clients_per_round: How many clients a round invites, or None for all.
        round_deadline: When a round closes at the latest, or None.
        max_wait: After how long without progress a run that waits is stopped, or None.
        max_num_samples: The most samples an update may claim, for all or by client; or None.
        validate_every: Global models are validated every so many rounds, or None.
        exclude_vars: Regular expression of tensors left as they are, or None.
        checkpoint: ``ckpt_preload_path``, relative to the MMAR's root or absolute.
        update_codec: In which element types updates travel; ``none`` for the model's own.
        compression: How chunks of models and updates are compressed; ``none`` for not at all.
        workflow: Who works in a round, or None for the default.
        cross_site: How cross-site validation is done.
        model_persistor: Makes the initial model, or None.
        model_validator: Validates global models on the server, or None.
        inbound_filters: Applied to updates.
        outbound_filters: Applied to the global model.
        handlers: See the events of the run.
        result_processors: Answer the topics that clients send.
    """

    task_name: str
    min_num_clients: int
    max_num_clients: int
    wait_after_min_clients: float
    heart_beat_timeout: float
    start_round: int
    num_rounds: int
    aggregator: ComponentSpec
    clients_per_round: int | None = None
    round_deadline: float | None = None
    max_wait: float | None = None
    max_num_samples: float | Mapping[str, float] | None = None
    validate_every: int | None = None
    exclude_vars: str | None = None
    checkpoint: str | None = None
    update_codec: str = "none"
    compression: str = "none"
    workflow: ComponentSpec | None = None
    cross_site: CrossSitePlan = field(default_factory=CrossSitePlan)
    model_persistor: ComponentSpec | None = None
    model_validator: ComponentSpec | None = None
    inbound_filters: tuple[ComponentSpec, ...] = ()
    outbound_filters: tuple[ComponentSpec, ...] = ()
    handlers: tuple[ComponentSpec, ...] = ()
    result_processors: tuple[ComponentSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class ClientSpec:
    """What ``config_fed_client.json`` declares.

    Attributes:
        task_name: The federated task.
        client_trainer: Trains on the site's data.
        inbound_filters: Applied to the global model when it arrives.
        outbound_filters: Applied to the update before it leaves.
        cross_validate: Whether this client takes part in cross-site validation.
        model_validator: Validates foreign models; None leaves it to the trainer.
        cross_site_inbound: Filters for models that are to be validated.
        cross_site_outbound: Filters for the best local model, before it leaves.
    """

    task_name: str
    client_trainer: ComponentSpec
    inbound_filters: tuple[ComponentSpec, ...] = ()
    outbound_filters: tuple[ComponentSpec, ...] = ()
    cross_validate: bool = False
    model_validator: ComponentSpec | None = None
    cross_site_inbound: tuple[ComponentSpec, ...] = ()
    cross_site_outbound: tuple[ComponentSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class MmarSpec:
    """A whole validated MMAR.

    Attributes:
        name: The folder's name.
        root: The folder, absolute.
        generation: Which archives it is like.
        digest: sha256 over the listing of all its files (see `FileListing.digest`).
        byoc: Whether it brings code of its own.
        expressions: Whether it holds expressions that its trainer would evaluate.
        commands: Whether the asked side declares commands of the MMAR's own, which are code.
        server: What the server file declares; None if it was not asked for or
            has errors.
        client: What the client file declares; likewise.
        train_config: ``config_train.json`` with variables replaced, or empty.
        validation_config: ``config_validation.json`` likewise.
        variables: The variables that environment.json and ``--set`` define, those in
            them replaced (see `Variables.handed_over`).
        guesses_index: Whether SITE_INDEX is used, and only a default says what it is.
        seed: ``determinism.random_seed`` of config_train.json, else 0.
        target: The ``host:port`` of the client file's service, or None.
        log_levels: Logger name (empty for the root) to level name, of log.config.
    """

    name: str
    root: Path
    generation: Generation
    digest: str
    byoc: bool = False
    expressions: bool = False
    commands: bool = False
    server: ServerSpec | None = None
    client: ClientSpec | None = None
    train_config: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    validation_config: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    variables: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    guesses_index: bool = False
    seed: int = 0
    target: str | None = None
    log_levels: Mapping[str, str] = field(default_factory=lambda: _EMPTY)

    def effective_digest(self, settings: Mapping[str, Any], plugins: Mapping[str, str]) -> str:
        """Return the sha256 of all that decides what a run does.

        Args:
            settings: The ``--set`` values.
            plugins: Versions of the distributions in use, by name.
        """
        parts = {"manifest": self.digest, "plugins": dict(plugins), "settings": dict(settings)}
        text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return sha256(text.encode()).hexdigest()
