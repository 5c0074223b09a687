# SPDX-License-Identifier: Apache-2.0
"""What a session is started with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import grpc

    from mmar_runner.mmar.spec import ClientSpec, MmarSpec


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """Everything that the command line, or a simulation, decides about a session.

    Attributes:
        spec: The validated MMAR; its client part is there.
        target: The server, ``host:port`` or ``unix:/path``.
        name: The client's name in the federation.
        workspace: The folder that belongs to this client alone.
        allow_byoc: Code in the MMAR's ``custom/`` may run, in a child process.
        plugins_dir: A folder of one-file plugins for the children, or None.
        task_timeout: Seconds a task may take before its child is killed, or None.
        connect_timeout: Seconds to try to reach the server the first time; None
            tries for ever.
        threads: Threads that a child's arithmetic libraries may use.
        memory_limit_bytes: Address space a child may take, or None for no limit.
        credentials: For TLS; None speaks plain text, allowed on loopback only.
    """

    spec: MmarSpec
    target: str
    name: str
    workspace: Path
    allow_byoc: bool = False
    plugins_dir: Path | None = None
    task_timeout: float | None = None
    connect_timeout: float | None = None
    threads: int = 1
    memory_limit_bytes: int | None = None
    credentials: grpc.ChannelCredentials | None = None

    @property
    def client(self) -> ClientSpec:
        """The MMAR's client part."""
        if self.spec.client is None:
            msg = f"{self.spec.name} was validated without its client part"
            raise ValueError(msg)
        return self.spec.client
