# SPDX-License-Identifier: Apache-2.0
"""What a session is started with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from mmar_runner.security.redaction import Redaction

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.client.files.slots import SpareFiles
    from mmar_runner.client.trust import ClientTrust
    from mmar_runner.mmar.spec import ClientSpec, MmarSpec
    from mmar_runner.security.policy.site_policy import SitePolicy
    from mmar_runner.wire.credentials import TlsFiles

_Number = TypeVar("_Number", int, float)

#: The site's own filters by direction (``inbound``, ``outbound``), as declarations.
SiteFilters: TypeAlias = Mapping[str, tuple[Mapping[str, Any], ...]]


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """Everything that the command line, or a simulation, decides about a session.

    Attributes:
        spec: The validated MMAR; its client part is there.
        target: The server, ``host:port`` or ``unix:/path``.
        name: The client's name in the federation.
        workspace: The folder that belongs to this client alone.
        allow_byoc: Code in the MMAR's ``custom/`` may run, in a child process.
        allow_expressions: Expressions that the MMAR holds as text may be evaluated, in the
            trainer's process alone.
        plugins_dir: A folder of one-file plugins for the children, or None.
        task_timeout: Seconds a task may take before its child is killed, or None.
        stall_seconds: Seconds a task may go without a step, once its trainer has told of one,
            before its child is killed, or None.
        connect_timeout: Seconds to try to reach the server the first time; None
            tries for ever.
        threads: Threads that a child's arithmetic libraries may use.
        memory_limit_bytes: Address space a child may take, or None for no limit.
        tls: Where certificate, key and root lie; they are taken up anew when they are
            renewed. None speaks plain text, allowed on loopback only.
        trust: What a site with a start-up kit goes by; None without a kit.
        site_filters: Filters that the site itself demands. They run after the MMAR's,
            in processes of their own, whatever the MMAR declares.
        allowed_path_prefixes: Class paths that the site's policy allows in its children;
            None without a policy.
        redaction: What the site hides of a task that failed.
        run_number: The only run that is worked for; None works for whatever run is open.
        processes: In how many processes the trainer works; None if nobody said, which is one
            unless the MMAR demands more (see `mmar_runner.client.tasks.parallel`).
        launcher: The module that starts them, once that is found out.
        filter_key: What the secrets of filters are made of; None takes the key that the client's
            workspace keeps. A simulation, which deceives nobody and can be repeated, gives one.
        synthetic: Whether trainer and validator work on data that they make up: a dry run.
        combines: Whether the session is a combiner's: it sends sums of what comes from below, and
            its MMAR was validated with its server part.
        serves_at: Where a combiner's clients call it, ``host:port``; empty for a client.
        reach_hint: What can be done if nobody answers; empty for what can be of a server.
        durable: Whether the session's key, and what its trainer keeps, survive the machine's death:
            they are on the disk before they count.
        held_above: Whether the folder lies in one that the server of the same program holds, so
            that nobody else works in it: a simulation's. A lock of its own is an open file.
        spare: Where global models lie that several sessions of one process share; None keeps
            them in the client's folder.
    """

    spec: MmarSpec
    target: str
    name: str
    workspace: Path
    allow_byoc: bool = False
    allow_expressions: bool = False
    plugins_dir: Path | None = None
    task_timeout: float | None = None
    stall_seconds: float | None = None
    connect_timeout: float | None = None
    threads: int = 1
    memory_limit_bytes: int | None = None
    tls: TlsFiles | None = None
    trust: ClientTrust | None = None
    site_filters: SiteFilters = field(default_factory=dict)
    allowed_path_prefixes: tuple[str, ...] | None = None
    redaction: Redaction = Redaction.NOTHING
    run_number: int | None = None
    processes: int | None = None
    launcher: str = ""
    filter_key: bytes | None = None
    synthetic: bool = False
    combines: bool = False
    serves_at: str = ""
    reach_hint: str = ""
    durable: bool = True
    held_above: bool = False
    spare: SpareFiles | None = None

    @property
    def task_name(self) -> str:
        """The federated task."""
        if self.combines and self.spec.server is not None:
            return self.spec.server.task_name
        return self.client.task_name

    @property
    def cross_validates(self) -> bool:
        """Whether the client takes part in cross-site validation."""
        return not self.combines and self.client.cross_validate

    @property
    def work_digest(self) -> str:
        """What an update depends on: the MMAR, and the filters that the site demands."""
        if not self.site_filters:
            return self.spec.digest
        named = {way: [dict(one) for one in found] for way, found in self.site_filters.items()}
        own = json.dumps(named, sort_keys=True)
        return sha256(f"{self.spec.digest} {own}".encode()).hexdigest()

    def under(self, policy: SitePolicy) -> SessionSettings:
        """Return these settings as a site's policy narrows them: never wider than before."""
        limits = policy.trainer
        return replace(
            self,
            task_timeout=smaller(self.task_timeout, limits.get("task_seconds")),
            stall_seconds=smaller(self.stall_seconds, limits.get("stall_seconds")),
            memory_limit_bytes=smaller(self.memory_limit_bytes, _whole(limits, "memory_bytes")),
            threads=min(self.threads, _whole(limits, "threads") or self.threads),
            site_filters=policy.mandatory_filters,
            allowed_path_prefixes=policy.allowed_path_prefixes,
            allow_expressions=policy.allows_expressions(self.spec.digest),
            redaction=policy.redaction,
        )

    @property
    def client(self) -> ClientSpec:
        """The MMAR's client part."""
        if self.spec.client is None:
            msg = f"{self.spec.name} was validated without its client part"
            raise ValueError(msg)
        return self.spec.client


def smaller(first: _Number | None, second: _Number | None) -> _Number | None:
    """Return the smaller of two limits; None is no limit."""
    return min((one for one in (first, second) if one is not None), default=None)


def _whole(limits: Mapping[str, float], name: str) -> int | None:
    return int(limits[name]) if name in limits else None
