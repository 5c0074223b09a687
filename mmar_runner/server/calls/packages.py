# SPDX-License-Identifier: Apache-2.0
"""Gives the MMAR that is deployed to clients that have none, and hears who will not run it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from mmar_runner.errors import CertificateError, ProtocolError
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.security.packages.packing import PackedFile, pack
from mmar_runner.server.calls.file_chunks import file_chunks
from mmar_runner.server.gate.names import require_site
from mmar_runner.server.wording import plain
from mmar_runner.wire.messages import DeclineReply, PackageHeader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.security.audit.log import AuditLog
    from mmar_runner.security.decision import Decision
    from mmar_runner.server.calls.windows import SharedWindow
    from mmar_runner.wire.codec import SentPackageItem
    from mmar_runner.wire.gate import Peer
    from mmar_runner.wire.messages import DeclineRequest, GetPackageRequest

_REASON: Final = re.compile(r"[A-Z][A-Z0-9_]{0,39}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_MESSAGE_LETTERS: Final = 600
#: How often a site is shown to decline; the audit log counts all of them.
_SHOWN_DECLINES: Final = 5


@dataclass(frozen=True, slots=True)
class Deployment:
    """What clients are given.

    Attributes:
        root: The MMAR's folder: the copy that was looked at.
        digest: What it is known by.
        package: Where its package is kept, for as long as the run's folder.
        decisions: What the policy says of it at every client's site.
        needed: How many clients the run needs.
    """

    root: Path
    digest: str
    package: Path
    decisions: Mapping[str, Decision]
    needed: int = 0


class DeclineListener(Protocol):
    """Hears of those who decline."""

    def __call__(self, sentence: str, /, *, aloud: bool) -> None:
        """Hear a sentence about all of them, and whether it is worth saying at once."""


class PackageDesk:
    """Answers GetPackage and Decline.

    Args:
        deployment: What clients are given.
        observer: Sees who declines.
        audit: Gets a line for whoever gets the package, and for whoever declines.
        on_decline: Hears who declines, whenever that changes.
        window: Of all downloads, models' among them.
    """

    def __init__(
        self,
        deployment: Deployment,
        observer: Observer,
        audit: AuditLog,
        on_decline: DeclineListener = lambda _, *, aloud: None,  # noqa: ARG005 - its name is told
        *,
        window: SharedWindow,
    ) -> None:
        self._deployment = deployment
        self._observer = observer
        self._audit = audit
        self._packing: asyncio.Task[PackedFile] | None = None
        self._window = window
        self._on_decline = on_decline
        self._declined: dict[str, int] = {}
        self._reasons: dict[str, str] = {}

    async def get_package(
        self, request: GetPackageRequest, peer: Peer
    ) -> AsyncIterator[SentPackageItem]:
        """Yield the package's header and its bytes, from where the client left off.

        Raises:
            CertificateError: CERT_MISSING.
            NotAuthorizedError: The site may not run this MMAR.
        """
        site = self._site(peer)
        require_site(site, self._deployment.decisions)
        if self._reasons.pop(site, None) is not None:  # it looks at it once more
            self._tell_declined(site)
        package = await self._package()
        header = PackageHeader(
            name=self._deployment.root.name,
            digest=self._deployment.digest,
            total_bytes=package.size,
            sha256=package.sha256,
        )
        if request.sha256 == package.sha256 and request.offset <= package.size:
            header.offset = request.offset
        self._audit.record(
            "GetPackage",
            who=peer.who,
            peer=peer.address,
            digest=header.digest,
            offset=header.offset,
        )
        with self._window.user():
            yield header
            chunks = file_chunks(package.path, package.size, self._window, offset=header.offset)
            async for chunk in chunks:
                yield chunk

    async def decline(self, request: DeclineRequest, peer: Peer) -> DeclineReply:
        """Note that a site will not run the MMAR, and why.

        Raises:
            CertificateError: CERT_MISSING.
            ProtocolError: The request is none.
        """
        site = self._site(peer)
        if not _REASON.fullmatch(request.reason) or not _DIGEST.fullmatch(request.digest):
            msg = "a request to decline names a digest and the id of a reason"
            raise ProtocolError(msg)
        message = plain(request.message, _MESSAGE_LETTERS)
        self._note_decline(request, message, peer)
        self._declined[site] = self._declined.get(site, 0) + 1
        self._reasons[site] = request.reason
        if self._declined[site] <= _SHOWN_DECLINES:
            facts = {"client": site, "reason": request.reason, "message": message}
            self._observer.observe(Observation(Topic.SITE_DECLINED, facts))
        self._tell_declined(site)
        return DeclineReply()

    async def close(self) -> None:
        """Wait for a package that is being made: its thread cannot be stopped."""
        if self._packing is not None:
            await asyncio.wait({self._packing})

    def _tell_declined(self, site: str) -> None:
        """Tell what has changed; a site that declines in a flood is not shown any more."""
        aloud = self._declined[site] <= _SHOWN_DECLINES
        self._on_decline(declined_sentence(self._reasons, self._deployment), aloud=aloud)

    def _site(self, peer: Peer) -> str:
        if peer.certificate is None:
            msg = "packages are given to clients with a certificate only"
            raise CertificateError(msg, reason="CERT_MISSING", hint="start the client with --kit")
        return peer.certificate.identity.name

    async def _package(self) -> PackedFile:
        """Return the package, made once; a client that leaves does not stop its making."""
        if self._packing is None or _failed(self._packing):
            deployment = self._deployment
            making = asyncio.to_thread(pack, deployment.root, deployment.package)
            self._packing = asyncio.create_task(making)
        return await asyncio.shield(self._packing)

    def _note_decline(self, request: DeclineRequest, message: str, peer: Peer) -> None:
        self._audit.record(
            "Decline",
            who=peer.who,
            peer=peer.address,
            decision="noted",
            reason=request.reason,
            digest=request.digest,
            message=message,
        )


def declined_sentence(reasons: Mapping[str, str], deployment: Deployment) -> str:
    """Say which sites decline and why, and whether those that are left are too few.

    Args:
        reasons: The id of the reason of every site that declines.
        deployment: What they decline.
    """
    if not reasons:
        return ""
    text = "declined by " + ", ".join(f"{site} [{why}]" for site, why in sorted(reasons.items()))
    may = [site for site, decision in deployment.decisions.items() if decision.accepted]
    left = sorted(set(may) - reasons.keys())
    if len(left) >= deployment.needed:
        return text
    names = f" ({', '.join(left)})" if left else ""
    return (
        f"{text}; the run needs {deployment.needed} clients, and only {len(left)} of the "
        f"{len(may)} sites that may run it are left{names}: it goes on when a site that declined "
        "accepts it, or ends when it is stopped"
    )


def _failed(task: asyncio.Task[PackedFile]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)
