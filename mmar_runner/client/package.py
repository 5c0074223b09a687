# SPDX-License-Identifier: Apache-2.0
"""Fetches the MMAR that the server deploys, and lets the site decide whether it runs.

The server is believed nothing: the package is unpacked by strict rules, the copy is
verified, validated and judged like any other, and only then is there something to run.
If the site will not run it, the server is told why, and nothing of it is left here.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from mmar_runner.client.backoff import Backoff
from mmar_runner.client.line import Line
from mmar_runner.client.outage import Outage
from mmar_runner.client.package_file import IncomingPackage
from mmar_runner.client.threads import in_thread
from mmar_runner.errors import (
    CertificateError,
    DigestError,
    MmarError,
    MmarInvalidError,
    MmarRunnerError,
    ProtocolError,
    RefusedError,
    RunStoppedError,
    TrustError,
    UnreachableError,
    WireError,
)
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.mmar.admission import admit
from mmar_runner.security.mmar_store import MmarStore
from mmar_runner.security.package import DEFAULT_LIMITS, unpack
from mmar_runner.storage.atomic import translated
from mmar_runner.wire.channel import open_channel
from mmar_runner.wire.credentials import channel_credentials
from mmar_runner.wire.messages import DeclineRequest, GetPackageRequest, PackageHeader
from mmar_runner.wire.stub import DiscoveryStub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mmar_runner.client.package_file import Announced
    from mmar_runner.client.trust import ClientTrust
    from mmar_runner.interfaces.catalog import ComponentCatalog
    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.mmar.admission import Admission, SiteRules

#: How long the server may take to hear that the site declines, in seconds.
_DECLINE_SECONDS: Final = 5.0
#: How often a package that arrives damaged is fetched again.
_ATTEMPTS: Final = 3
#: Refusals that pass: the server comes back, or has room again.
_PASSING: Final = frozenset(
    {"SERVER_STOPPING", "RATE_LIMITED", "TOO_MANY_CALLS", "OVERLOADED", "DISK_FULL"}
)
#: Why a site will not run what it was sent.
_REFUSALS: Final = (TrustError, MmarError, DigestError, ProtocolError)


@dataclass(frozen=True, slots=True)
class Delivery:
    """From where, to where, and under which rules an MMAR is fetched.

    Attributes:
        target: The server, ``host:port``.
        trust: The site's identity and its audit log.
        rules: What the site judges by.
        workspace: The client's folder.
        variables: The ``--set`` values.
        connect_timeout: Seconds to try to reach the server; None tries for ever.
    """

    target: str
    trust: ClientTrust
    rules: SiteRules
    workspace: Path
    variables: Mapping[str, Any] = field(default_factory=dict)
    connect_timeout: float | None = None


async def fetch_mmar(
    delivery: Delivery, catalog: ComponentCatalog, observer: Observer, stop: asyncio.Event
) -> Admission:
    """Fetch the MMAR that the server deploys and return it, if this site accepts it.

    Args:
        delivery: From where, to where, and under which rules.
        catalog: What is installed.
        observer: Sees what happens.
        stop: Ends the attempt; what was received stays for the next one.

    Returns:
        The admission of a read-only copy that is valid, accepted and delivered.

    Raises:
        TrustError: The package is unsafe, a rule refuses the MMAR, or TLS does not come
            about; the server was told and nothing of the MMAR is left.
        MmarError: It cannot be read or has findings of severity error; likewise.
        WireError: The server gives this site no package, or nobody answers in time.
        RunStoppedError: ``stop`` was set.
        StorageError: The package or the copy cannot be kept.
    """
    courier = _Courier(delivery, observer)
    fetching = asyncio.ensure_future(courier.fetch(catalog))
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({fetching, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if fetching.done():
            return fetching.result()
        msg = "the client was asked to stop while it fetched the MMAR"
        raise RunStoppedError(msg, hint="the same command goes on where it was")
    finally:
        for task in (fetching, stopping):
            task.cancel()
        await asyncio.wait({fetching, stopping})


class _Courier:
    """Fetches one MMAR."""

    def __init__(self, delivery: Delivery, observer: Observer) -> None:
        self._delivery = delivery
        self._observer = observer
        self._folder = delivery.workspace / "packages"
        self._reached = False

    async def fetch(self, catalog: ComponentCatalog) -> Admission:
        """Receive, unpack and admit the MMAR, or decline it."""
        self._observer.observe(Observation(Topic.CONNECTING, {"target": self._delivery.target}))
        package = await in_thread(IncomingPackage, self._folder)
        try:
            announced = await self._receive_all(package)
            admission = await in_thread(self._admitted, package.path, announced, catalog)
            await in_thread(package.remove)
        except _REFUSALS as error:
            if not isinstance(error, CertificateError):
                await self._refuse(package, error)
            raise
        finally:
            package.close()
        self._record("accepted", "", digest=admission.digest, signers=", ".join(admission.signers))
        return admission

    async def _refuse(self, package: IncomingPackage, error: MmarRunnerError) -> None:
        """Write a refusal down, tell the server, and delete what it sent."""
        digest = "" if package.announced is None else package.announced.digest
        self._record("refused", error.reason, digest=digest, message=error.message)
        await in_thread(package.remove)
        if digest:
            await self._decline(digest, error)

    def _record(self, decision: Literal["accepted", "refused"], reason: str, **facts: str) -> None:
        self._delivery.trust.record("mmar.run", decision, reason, **facts)

    async def _receive_all(self, package: IncomingPackage) -> Announced:
        """Receive the package, however often the server goes away meanwhile."""
        outage, backoff = Outage(self._delivery.target, self._observer), Backoff(random.random)
        deadline = self._deadline()
        damaged = 0
        while True:
            try:
                return await self._receive(package)
            except DigestError:
                damaged += 1
                if damaged == _ATTEMPTS:
                    raise
            except UnreachableError as error:
                outage.begin(error)
                await self._look_for_trouble()
                if not self._reached and time.monotonic() > deadline:
                    raise outage.error() from error
            except RefusedError as error:
                if error.reason not in _PASSING:
                    raise
                facts = {"message": f"{error.message}; trying again"}
                self._observer.observe(Observation(Topic.WAITING, facts))
            await asyncio.sleep(backoff.next_delay())

    def _deadline(self) -> float:
        seconds = self._delivery.connect_timeout
        return float("inf") if seconds is None else time.monotonic() + seconds

    async def _look_for_trouble(self) -> None:
        """Say which trouble with TLS it is, if it is one: no later attempt would mend it.

        Raises:
            CertificateError: TLS does not come about.
        """
        if self._reached:
            return
        line = Line(self._delivery.target, self._delivery.trust.tls)
        try:
            trouble = await line.trouble()
        finally:
            await line.close()
        if trouble is not None:
            raise trouble.error

    async def _receive(self, package: IncomingPackage) -> Announced:
        started = time.monotonic()
        request = GetPackageRequest()
        if package.announced is not None:
            request.offset, request.sha256 = package.offset, package.announced.sha256
        async with self._stub() as stub, aclosing(stub.get_package(request)) as items:
            header = await anext(items, None)
            if not isinstance(header, PackageHeader):
                msg = "the server sent part of a package without a header"
                raise ProtocolError(msg)
            self._reached = True
            announced = await in_thread(package.begin, header)
            async for chunk in items:
                if isinstance(chunk, PackageHeader):
                    msg = "a second header arrived in the middle of a package"
                    raise ProtocolError(msg)
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

    def _admitted(
        self, package: Path, announced: Announced, catalog: ComponentCatalog
    ) -> Admission:
        """Return the MMAR if it may run here."""
        delivery = self._delivery
        store = MmarStore(delivery.workspace / "store")
        store.sweep()
        with self._unpacked(package, announced) as source:
            admission = admit(
                source,
                catalog,
                delivery.rules,
                store,
                side="client",
                action="run",
                origin="delivered",
                now=datetime.now(UTC),
                settings=delivery.variables,
            )
        admission.decision.require()
        _require_valid(admission)
        return admission

    @contextmanager
    def _unpacked(self, package: Path, announced: Announced) -> Iterator[Path]:
        """Unpack a package to where nothing of it stays.

        Servers compress nothing, so files that are larger than their package are a trap.
        """
        limits = replace(DEFAULT_LIMITS, total_bytes=announced.total_bytes)
        around = self._folder / "unpacked"
        with translated(around):
            shutil.rmtree(around, ignore_errors=True)  # of a process that was killed
            around.mkdir(mode=0o700)
        try:
            unpack(package, around / announced.name, limits)
            yield around / announced.name
        finally:
            shutil.rmtree(around)

    async def _decline(self, digest: str, error: MmarRunnerError) -> None:
        """Tell the server why; that it does not hear it changes nothing."""
        request = DeclineRequest(digest=digest, reason=error.reason, message=error.message)
        try:
            async with self._stub() as stub:
                await stub.decline(request, timeout=_DECLINE_SECONDS)
        except WireError as lost:
            facts = {"message": f"the server was not told that this site declines: {lost.message}"}
            self._observer.observe(Observation(Topic.WAITING, facts))

    @asynccontextmanager
    async def _stub(self) -> AsyncIterator[DiscoveryStub]:
        target = self._delivery.target
        # Made anew each time: certificates may have been renewed.
        credentials = await in_thread(channel_credentials, self._delivery.trust.tls)
        channel = open_channel(target, credentials=credentials)
        try:
            yield DiscoveryStub(channel, target)
        finally:
            await channel.close(None)


def _require_valid(admission: Admission) -> None:
    errors = [f for f in admission.validation.report.findings if f.severity == "error"]
    if errors:
        first = errors[0]
        count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
        msg = (
            f"{admission.root.name} has {count}: "
            f"{first.file}:{first.line}:{first.column}: {first.code}: {first.message}"
        )
        raise MmarInvalidError(msg, hint=first.hint)
