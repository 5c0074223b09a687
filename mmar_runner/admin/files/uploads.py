# SPDX-License-Identifier: Apache-2.0
"""Receives packages of administrators: whole, looked at, and only then there for others."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.admin.files.package_stream import PackageReceiver, first_begin
from mmar_runner.admin.files.uploaded import as_event
from mmar_runner.errors import (
    DigestError,
    MmarError,
    MmarInvalidError,
    ProtocolError,
    RefusedError,
    TrustError,
)
from mmar_runner.security.packages.sink import too_large
from mmar_runner.security.packages.unpacking import DEFAULT_LIMITS
from mmar_runner.server.calls.windows import SharedWindow
from mmar_runner.waiting.races import unless
from mmar_runner.waiting.threads import in_thread
from mmar_runner.wire.limits import UPLOAD_CHUNKS, UPLOAD_WINDOW_CHUNKS
from mmar_runner.wire.messages import UploadReady, UploadReceipt

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path
    from typing import TypeAlias

    from mmar_runner.admin.entrance.access import Access
    from mmar_runner.admin.files.incoming import IncomingPackage, IncomingPackages
    from mmar_runner.admin.files.uploaded import Uploaded
    from mmar_runner.admission.admitting import Admission
    from mmar_runner.interfaces.admin_command import CommandCall
    from mmar_runner.security.listing import HashedFile
    from mmar_runner.wire.gate import Peer
    from mmar_runner.wire.messages import UploadBegin
    from mmar_runner.wire.servicer import UploadStream

    Authorize: TypeAlias = Callable[[str, bytes, Peer], Awaitable[CommandCall]]
    Look: TypeAlias = Callable[[Path, Mapping[str, HashedFile]], Admission]

#: Uploads that a server takes at once.
UPLOADS_AT_ONCE: Final = 8
#: Findings that a console is told; the rest it sees with `validate-mmar`.
_FINDINGS: Final = 100
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is uploaded: under which name, by whom, which bytes, and how many of them."""

    name: str
    user: str
    sha256: str
    total: int


@dataclass(slots=True)
class _Attempt:
    """One upload that is under way."""

    newer: asyncio.Event
    task: asyncio.Task[Mapping[str, Any]]


class Uploads:
    """Takes packages in. Used from the event loop.

    Args:
        incoming: Where packages lie until they are whole.
        uploaded: Where MMARs lie that were looked at.
        access: Knows organisations.
        look: Says whether an unpacked MMAR may run here, given what its files hold; blocks.
    """

    def __init__(
        self,
        incoming: IncomingPackages,
        uploaded: Uploaded,
        access: Access,
        look: Look,
    ) -> None:
        self._incoming = incoming
        self._uploaded = uploaded
        self._access = access
        self._look = look
        self._looking = asyncio.Lock()
        self._attempts: dict[tuple[str, str], _Attempt] = {}
        self._window = SharedWindow(UPLOAD_CHUNKS, least=1, most=UPLOAD_WINDOW_CHUNKS)

    async def receive(self, stream: UploadStream, peer: Peer, authorize: Authorize) -> None:
        """Receive one package and answer what became of it.

        Raises:
            RefusedError: TOO_MANY_UPLOADS; or as whoever authorizes it.
            PackageError: UNSAFE_PATH, UNSAFE_ENTRY, TOO_LARGE or FORMAT.
            NotAuthorizedError: The name is taken, or a rule refuses the MMAR.
            MmarError: It is none.
            DigestError: The bytes are not those that were announced.
            StorageError: It cannot be kept.
        """
        begin = await first_begin(stream)
        call = await authorize(begin.token, begin.order, peer)
        wanted = _wanted(call, begin)
        self._uploaded.require_free(wanted.name, wanted.user)
        value = await self._newest(wanted, stream)
        await stream.write(UploadReceipt(event=as_event(value)))

    async def _newest(self, wanted: _Wanted, stream: UploadStream) -> Mapping[str, Any]:
        """Take a package, and leave it if the same user sends the same one anew."""
        key = (wanted.user, wanted.sha256)
        while (older := self._attempts.get(key)) is not None:
            older.newer.set()
            await asyncio.wait({older.task})
            if self._attempts.get(key) is older:
                del self._attempts[key]
        if len(self._attempts) >= UPLOADS_AT_ONCE:
            msg = f"the server takes {UPLOADS_AT_ONCE} uploads at once"
            raise RefusedError(msg, reason="TOO_MANY_UPLOADS", hint="try again a little later")
        attempt = _Attempt(asyncio.Event(), asyncio.create_task(self._take(wanted, stream)))
        self._attempts[key] = attempt
        try:
            await unless(attempt.task, attempt.newer.wait())
        finally:
            if self._attempts.get(key) is attempt:
                del self._attempts[key]
        if attempt.task.cancelled():
            msg = f"a newer upload of {wanted.name} by {wanted.user} has taken over"
            raise RefusedError(msg, reason="TOO_MANY_UPLOADS")
        return attempt.task.result()

    async def _take(self, wanted: _Wanted, stream: UploadStream) -> Mapping[str, Any]:
        there = self._uploaded.of(wanted.name)
        if there is not None and there.get("sha256") == wanted.sha256:
            return await self._again(wanted, there, stream)  # only its receipt was lost
        package = await in_thread(self._incoming.begin, wanted.sha256, wanted.user, wanted.total)
        try:
            await PackageReceiver(stream, package, self._window).receive()
            return await self._finish(wanted, package)
        except (DigestError, TrustError, MmarError) as error:
            await in_thread(package.remove)  # nothing is left of what is refused
            if isinstance(error, MmarInvalidError) and error.findings:
                return _refusal(error)
            raise
        finally:
            self._incoming.ended(package)

    async def _again(
        self, wanted: _Wanted, there: Mapping[str, Any], stream: UploadStream
    ) -> Mapping[str, Any]:
        """Answer for a package that is here, as it would be answered for."""
        await stream.write(UploadReady(offset=wanted.total, credits=0))
        await stream.read()
        return {"accepted": True, **there}

    async def _finish(self, wanted: _Wanted, package: IncomingPackage) -> Mapping[str, Any]:
        package.check()
        unpacked = await in_thread(self._incoming.unpack, package, wanted.name)
        mmar = unpacked.folder
        left = mmar.parent
        try:
            async with self._looking:  # each takes the processor, and the same files
                admission = await in_thread(self._look, mmar, unpacked.hashed)
            facts = self._facts(wanted, admission)
            await in_thread(self._uploaded.prepare, mmar, facts)
            self._uploaded.require_free(wanted.name, wanted.user)
            left = self._uploaded.publish(mmar)
            await in_thread(package.remove)
        finally:
            await in_thread(self._incoming.discard, left)
        return {"accepted": True, **facts}

    def _facts(self, wanted: _Wanted, admission: Admission) -> dict[str, Any]:
        manifest = admission.manifest
        return {
            "name": wanted.name,
            "digest": admission.digest,
            "owner": wanted.user,
            "org": self._access.org_of(wanted.user),
            "uploaded": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "bytes": wanted.total,
            "version": None if manifest is None else manifest.version,
            "sha256": wanted.sha256,
        }


def _wanted(call: CommandCall, begin: UploadBegin) -> _Wanted:
    if call.spec.name != "upload":
        msg = f"an upload needs the order `upload`, and not {call.spec.name}"
        raise ProtocolError(msg)
    digest, total = call.arguments["SHA256"], begin.total_bytes
    if not _SHA256.fullmatch(digest) or total < 1:
        msg = "an upload names the sha256 and the size of its package"
        raise ProtocolError(msg)
    if total > DEFAULT_LIMITS.package_bytes:
        raise too_large(f"{total} bytes")
    return _Wanted(call.arguments["FOLDER"], call.user, digest, total)


def _refusal(error: MmarInvalidError) -> Mapping[str, Any]:
    return {
        "accepted": False,
        "reason": error.reason,
        "message": error.message,
        "hint": error.hint or "",
        "findings": [dict(one) for one in error.findings[:_FINDINGS]],
    }
