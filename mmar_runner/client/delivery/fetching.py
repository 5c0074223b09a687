# SPDX-License-Identifier: Apache-2.0
"""Fetches the MMAR that the server deploys, and lets the site decide whether it runs.

The server is believed nothing: the package is unpacked by strict rules, the copy is
verified, validated and judged like any other, and only then is there something to run.
If the site will not run it, the server is told why, and nothing of it is left here.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.admission.admitting import admit
from mmar_runner.admission.audit_line import MmarLine
from mmar_runner.client.delivery.package_download import PackageDownload, discovery
from mmar_runner.client.delivery.package_file import IncomingPackage
from mmar_runner.documents.words import counted
from mmar_runner.errors import (
    CertificateError,
    DigestError,
    MmarError,
    MmarInvalidError,
    MmarRunnerError,
    MmarUnreadableError,
    ProtocolError,
    RunStoppedError,
    TrustError,
    WireError,
)
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.mmar.reports.as_json import finding_json
from mmar_runner.security.packages.mmar_store import MmarStore
from mmar_runner.security.packages.packing import DEFAULT_LIMITS, unpack
from mmar_runner.security.policy.mends import with_command
from mmar_runner.storage.atomic import translated
from mmar_runner.waiting.races import unless
from mmar_runner.waiting.threads import in_thread
from mmar_runner.wire.messages import DeclineRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mmar_runner.admission.admitting import Admission
    from mmar_runner.admission.rules import SiteRules
    from mmar_runner.client.delivery.package_file import Announced
    from mmar_runner.client.trust import ClientTrust
    from mmar_runner.interfaces.catalog import ComponentCatalog
    from mmar_runner.interfaces.observer import Observer

#: How long the server may take to hear that the site declines, in seconds.
_DECLINE_SECONDS: Final = 5.0
#: Why a site will not run what it was sent.
_REFUSALS: Final = (TrustError, MmarError, DigestError, ProtocolError)


@dataclass(frozen=True, slots=True)
class Delivery:
    """From where, to where, and under which rules an MMAR is fetched.

    Attributes:
        trust: The site's identity, the server's address, and the site's audit log.
        rules: What the site judges by.
        workspace: The client's folder.
        client_name: As which client the MMAR would run.
        variables: The ``--set`` values.
        connect_timeout: Seconds to try to reach the server; None tries for ever.
        waits: Whether to wait for a server that has deployed nothing yet.
    """

    trust: ClientTrust
    rules: SiteRules
    workspace: Path
    client_name: str
    variables: Mapping[str, Any] = field(default_factory=dict)
    connect_timeout: float | None = None
    waits: bool = False


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
    fetched = await unless(courier.fetch(catalog), stop.wait())
    if fetched.cancelled():
        msg = "the client was asked to stop while it fetched the MMAR"
        raise RunStoppedError(msg, hint="the same command goes on where it was")
    return fetched.result()


class _Courier:
    """Fetches one MMAR."""

    def __init__(self, delivery: Delivery, observer: Observer) -> None:
        self._delivery = delivery
        self._observer = observer
        self._line = MmarLine(delivery.trust, "run", delivery.trust.kit)
        self._folder = delivery.workspace / "packages"
        self._download = PackageDownload(
            delivery.trust,
            observer,
            connect_timeout=delivery.connect_timeout,
            waits=delivery.waits,
        )

    async def fetch(self, catalog: ComponentCatalog) -> Admission:
        """Receive, unpack and admit the MMAR, or decline it."""
        self._observer.observe(
            Observation(Topic.CONNECTING, {"target": self._delivery.trust.target})
        )
        package = await in_thread(IncomingPackage, self._folder)
        try:
            announced = await self._download.receive(package)
            admission = await in_thread(self._admitted, package.path, announced, catalog)
            await in_thread(package.remove)
        except CertificateError as error:  # it is no word about the MMAR
            self._delivery.trust.refused(error)
            raise
        except _REFUSALS as error:
            await self._refuse(package, error)
            raise
        finally:
            package.close()
        self._line.accepted()
        return admission

    async def _refuse(self, package: IncomingPackage, error: MmarRunnerError) -> None:
        """Write a refusal down, tell the server, and delete what it sent."""
        if package.announced is not None:
            self._line.digest = package.announced.digest
        self._line.refused(error.reason, error.message)
        await in_thread(package.remove)
        if package.announced is not None:
            await self._decline(package.announced.digest, error)

    def _admitted(
        self, package: Path, announced: Announced, catalog: ComponentCatalog
    ) -> Admission:
        """Return the MMAR if it may run here."""
        delivery = self._delivery
        store = MmarStore(delivery.workspace / "store")
        store.sweep()
        with self._unpacked(package, announced) as source, _as_refusal():
            admission = admit(
                source,
                catalog,
                delivery.rules,
                store,
                origin="delivered",
                now=datetime.now(UTC),
                settings=delivery.variables,
                client_name=delivery.client_name,
            )
        self._line.of(admission)
        with_command(admission.decision, delivery.trust.kit.folder).require()
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
            async with discovery(self._delivery.trust) as stub:
                await stub.decline(request, timeout=_DECLINE_SECONDS)
        except (WireError, CertificateError) as lost:
            facts = {"message": f"the server was not told that this site declines: {lost.message}"}
            self._observer.observe(Observation(Topic.WAITING, facts))


def _require_valid(admission: Admission) -> None:
    validation = admission.validation
    errors = (*validation.report.errors, *validation.unfilled)
    if errors:
        first = errors[0]
        msg = (
            f"{admission.root.name} has {counted(len(errors), 'error')}: "
            f"{first.file}:{first.line}:{first.column}: {first.code}: {first.message}"
        )
        found = [finding_json(finding) for finding in errors]
        raise MmarInvalidError(msg, hint=first.hint, findings=found)


@contextmanager
def _as_refusal() -> Iterator[None]:
    """What was delivered and is no MMAR is refused; nobody here named a wrong folder."""
    try:
        yield
    except MmarUnreadableError as error:
        raise MmarInvalidError(error.message, hint=error.hint) from error
