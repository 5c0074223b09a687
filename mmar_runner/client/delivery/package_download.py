# SPDX-License-Identifier: Apache-2.0
"""Brings a package from the server into a file, over however many attempts it takes."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Final

from mmar_runner.client.connection.backoff import Backoff
from mmar_runner.client.connection.least_pace import Pace
from mmar_runner.client.connection.line import Line
from mmar_runner.client.connection.outage import Outage, mend
from mmar_runner.errors import DigestError, ProtocolError, RefusedError, UnreachableError
from mmar_runner.federation.client_machine import Reaction, reaction_to
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.waiting.threads import in_thread
from mmar_runner.wire.messages import GetPackageRequest, PackageHeader
from mmar_runner.wire.stub import DiscoveryStub

if TYPE_CHECKING:
    from mmar_runner.client.delivery.package_file import Announced, IncomingPackage
    from mmar_runner.client.trust import ClientTrust
    from mmar_runner.interfaces.observer import Observer

#: Seconds in which a server must have made the package and begin to send it.
_BEGIN_SECONDS: Final = 600.0
#: How often a package that arrives damaged, or hardly arrives, is asked for.
_ATTEMPTS: Final = 3


@asynccontextmanager
async def discovery(trust: ClientTrust) -> AsyncIterator[DiscoveryStub]:
    """Give the calls of a client that has no MMAR yet, over a line of their own.

    Args:
        trust: Who calls whom; its files are read anew: they may have been renewed.

    Raises:
        CertificateError: TLS_FILES, they cannot be used.
        UnreachableError: Nobody answers, or whoever does is not to be trusted.
    """
    line = Line(trust.target, trust.tls, trust.judge_server)
    try:
        await line.identify()
        yield DiscoveryStub(line.channel, trust.target)
    finally:
        await line.close()


class PackageDownload:
    """Receives one package.

    Args:
        trust: Who calls whom.
        observer: Sees what happens.
        connect_timeout: Seconds to try to reach the server; None tries for ever.
        waits: Whether to wait for a server that has deployed nothing yet.
    """

    def __init__(
        self,
        trust: ClientTrust,
        observer: Observer,
        *,
        connect_timeout: float | None,
        waits: bool = False,
    ) -> None:
        self._trust = trust
        self._observer = observer
        self._connect_timeout = connect_timeout
        self._reached = False
        self._waits = waits

    async def receive(self, package: IncomingPackage) -> Announced:
        """Receive all of the package, however often the server goes away meanwhile.

        Raises:
            CertificateError: TLS does not come about.
            DigestError: It arrives damaged again and again.
            PackageError: UNSAFE_PATH or TOO_LARGE, already as it is announced.
            ProtocolError: The server answers something impossible.
            RefusedError: The server gives this site no package.
            UnreachableError: Nobody answers in time; TOO_SLOW, it hardly comes.
            StorageError: The package cannot be kept.
        """
        hint = mend("controller") if self._trust.kit.is_assigned else ""
        outage, backoff = Outage(self._trust.target, self._observer, hint), Backoff(random.random)
        deadline = self._deadline()
        damaged = slow = 0
        while True:
            files = self._trust.tls.stamp()
            try:
                return await self._attempt(package)
            except DigestError:
                damaged += 1
                if damaged == _ATTEMPTS:
                    raise
            except UnreachableError as error:
                slow += error.reason == "TOO_SLOW"
                if slow == _ATTEMPTS:
                    raise
                await self._look_for_trouble()
                outage.begin(error)
                if not self._reached and time.monotonic() > deadline:
                    raise outage.error() from error
            except RefusedError as error:
                if not self._passes(error, files):
                    raise
                facts = {"message": f"{error.message}; trying again"}
                self._observer.observe(Observation(Topic.WAITING, facts))
            await asyncio.sleep(backoff.next_delay())

    def _passes(self, error: RefusedError, files: object) -> bool:
        """Return True if another attempt may go better: later, or with a renewed certificate.

        Args:
            error: What the server refused.
            files: The stamp of the files before it.
        """
        if error.reason == "NOT_DEPLOYED":
            return self._waits
        match reaction_to(error.reason):
            case Reaction.RETRY:
                return True
            case Reaction.RENEW:
                return self._trust.tls.stamp() != files
            case _:
                return False

    def _deadline(self) -> float:
        seconds = self._connect_timeout
        return float("inf") if seconds is None else time.monotonic() + seconds

    async def _look_for_trouble(self) -> None:
        """Say which trouble with TLS it is, if it is one: no later attempt would mend it.

        Raises:
            CertificateError: TLS does not come about.
        """
        if self._reached:
            return
        line = Line(self._trust.target, self._trust.tls, self._trust.judge_server)
        try:
            trouble = await line.trouble()
        finally:
            await line.close()
        if trouble is not None:
            raise trouble.error

    async def _attempt(self, package: IncomingPackage) -> Announced:
        started = time.monotonic()
        request = GetPackageRequest()
        if package.announced is not None:
            request.offset, request.sha256 = package.offset, package.announced.sha256
        async with (
            discovery(self._trust) as stub,
            aclosing(stub.get_package(request)) as items,
        ):
            header = await Pace("the package", _BEGIN_SECONDS).next(items)
            if not isinstance(header, PackageHeader):
                msg = "the server sent part of a package without a header"
                raise ProtocolError(msg)
            self._reached = True
            announced = await in_thread(package.begin, header)
            pace = Pace("the package")
            while (chunk := await pace.next(items)) is not None:
                if isinstance(chunk, PackageHeader):
                    msg = "a second header arrived in the middle of a package"
                    raise ProtocolError(msg)
                pace.took(len(chunk))
                await in_thread(package.write, chunk)
        if package.offset < header.total_bytes:
            msg = f"the package broke off after {package.offset} of {header.total_bytes} bytes"
            raise UnreachableError(msg)
        await in_thread(package.check)
        facts = {
            "mmar": header.name,
            "bytes": header.total_bytes,
            "seconds": time.monotonic() - started,
            "resumed_at": header.offset,
        }
        self._observer.observe(Observation(Topic.PACKAGE_RECEIVED, facts))
        return announced
