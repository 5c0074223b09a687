# SPDX-License-Identifier: Apache-2.0
"""The gate that every call passes: who calls, and whether they may, now and later.

A connection outlives the certificate that opened it, and a held call outlives many
heartbeats. So the gate is asked at every call, and it may end calls that it let in.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mmar_runner.errors import MmarRunnerError
    from mmar_runner.security.identity import PeerCertificate


class GrpcContext(Protocol):
    """What is used of gRPC's context of a call."""

    def peer(self) -> str:
        """Return where the call comes from."""
        ...

    def auth_context(self) -> Mapping[str, Sequence[bytes]]:
        """Return what the transport security knows of the peer."""
        ...


@dataclass(frozen=True, slots=True)
class Caller:
    """What the transport says of whoever calls.

    Attributes:
        address: From where, as gRPC writes it.
        certificate: The client certificate whose key was proven, PEM; None without TLS.
    """

    address: str
    certificate: bytes | None = None


@dataclass(frozen=True, slots=True)
class Peer:
    """Whoever calls, let in.

    Attributes:
        address: From where, as gRPC writes it.
        certificate: What the certificate says; None where names are believed, which is
            on loopback without TLS.
    """

    address: str
    certificate: PeerCertificate | None = None

    @property
    def fingerprint(self) -> str:
        """sha256 of the certificate, hex; empty without one."""
        return "" if self.certificate is None else self.certificate.fingerprint

    @property
    def host(self) -> str:
        """The address without the port."""
        return self.address.rpartition(":")[0]

    @property
    def who(self) -> str:
        """The identity for a record, such as ``client site-1``; empty without one."""
        if self.certificate is None:
            return ""
        return f"{self.certificate.identity.role} {self.certificate.identity.name}"


@dataclass(slots=True)
class _LiveCall:
    method: str
    peer: Peer
    ended_by: MmarRunnerError | None = None
    client: str = ""


class Gate(ABC):
    """Decides about every call."""

    def __init__(self) -> None:
        self._live: dict[asyncio.Task[object], _LiveCall] = {}
        self._running: dict[str, Counter[str]] = {}

    @abstractmethod
    def admit(self, method: str, caller: Caller) -> Peer:
        """Let a caller in, or raise.

        Args:
            method: The name of the call, such as ``Register``.
            caller: What the transport says.

        Raises:
            MmarRunnerError: Why it may not call.
        """

    @abstractmethod
    def refused(self, method: str, caller: Caller, error: MmarRunnerError) -> None:
        """Hear of a call that was refused, by this gate or behind it."""

    def verdict(self, peer: Peer) -> MmarRunnerError | None:  # noqa: ARG002 - a default
        """Return why a peer that was let in may not go on, or None."""
        return None

    @contextmanager
    def call(self, method: str, context: GrpcContext) -> Iterator[Peer]:
        """Let one call in, and keep it in sight until it ends.

        Raises:
            MmarRunnerError: It may not begin, or may not go on.
        """
        peer = self.admit(method, caller_of(context))
        task = asyncio.current_task()
        if task is None:
            msg = "a call is a task"
            raise RuntimeError(msg)
        live = self._live[task] = _LiveCall(method, peer)
        running = self._running.setdefault(peer.fingerprint, Counter())
        running[method] += 1
        try:
            yield peer
        except asyncio.CancelledError:
            if live.ended_by is None:
                raise
            task.uncancel()
            raise live.ended_by from None
        finally:
            self._forget(task)

    def expel(
        self, verdict: Callable[[Peer], MmarRunnerError | None]
    ) -> dict[Peer, MmarRunnerError]:
        """End every running call whose peer a verdict no longer lets in, and say whose."""
        expelled = {}
        for task, live in list(self._live.items()):
            if live.ended_by is None and (error := verdict(live.peer)) is not None:
                live.ended_by = expelled[live.peer] = error
                task.cancel()
        return expelled

    def name_caller(self, client: str) -> None:
        """Note which client of a run makes the call that is being answered."""
        task = asyncio.current_task()
        if task is not None and (live := self._live.get(task)) is not None:
            live.client = client

    def end_calls_of(self, client: str, error: MmarRunnerError) -> set[asyncio.Task[object]]:
        """End every running call that a client of a run makes, and return what answers them.

        Calls that it makes otherwise than as this client go on: see `name_caller`.

        Args:
            client: Its name.
            error: What it is told.
        """
        ending = {task: live for task, live in self._live.items() if live.client == client}
        for task, live in ending.items():
            if live.ended_by is None:
                live.ended_by = error
                task.cancel()
        return set(ending)

    def live_calls(self, fingerprint: str, method: str | None = None) -> int:
        """Return how many calls of one certificate are running, all or those of a method."""
        running = self._running.get(fingerprint)
        if running is None:
            return 0
        return running.total() if method is None else running[method]

    def _forget(self, task: asyncio.Task[object]) -> None:
        live = self._live.pop(task)
        running = self._running[live.peer.fingerprint]
        running[live.method] -= 1
        if not running.total():
            del self._running[live.peer.fingerprint]


def caller_of(context: GrpcContext) -> Caller:
    """Return what gRPC says of whoever calls."""
    chain = context.auth_context().get("x509_pem_cert", ())
    return Caller(context.peer(), bytes(chain[0]) if chain else None)
