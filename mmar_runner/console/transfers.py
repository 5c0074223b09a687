# SPDX-License-Identifier: Apache-2.0
"""Uploads and downloads of a console: resumed where they broke off, checked at their end.

The same folder makes the same package, byte for byte, so an upload that broke off goes on
whoever calls again, and whenever: the server knows the package by its sha256.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from mmar_runner.client.transfer.under_way import UnderWay
from mmar_runner.console.incoming_file import IncomingFile
from mmar_runner.documents.strict_json import parse_strict
from mmar_runner.documents.words import printable
from mmar_runner.errors import (
    MmarInvalidError,
    MmarUnreadableError,
    ProtocolError,
    UnreachableError,
    UsageError,
    WireError,
)
from mmar_runner.security.packages.folder_package import packed_in_place
from mmar_runner.waiting.races import end
from mmar_runner.waiting.threads import in_thread
from mmar_runner.wire.limits import CHUNK_BYTES
from mmar_runner.wire.messages import (
    DownloadHeader,
    DownloadRequest,
    UploadBegin,
    UploadCommit,
    UploadCredit,
    UploadReady,
    UploadReceipt,
)

if TYPE_CHECKING:
    from mmar_runner.console.session import AdminSession
    from mmar_runner.security.packages.folder_package import FolderPackage
    from mmar_runner.wire.admin_stub import UploadCall

#: What is typed for calls of their own.
TRANSFERS: Final = frozenset({"upload", "download"})
#: Hears how many bytes have been moved, and of how many.
Moved = Callable[[int, int], None]
_T = TypeVar("_T")

#: How often a transfer is tried that breaks off, as long as something is moved, and the
#: pause before the next attempt, in seconds.
_ATTEMPTS: Final = 5
_PAUSE: Final = 0.5
_RECEIPT_BYTES: Final = 4 << 20


def _unheard(_done: int, _total: int) -> None:
    return


async def transferred(
    session: AdminSession, words: Sequence[str], *, moved: Moved = _unheard
) -> dict[str, Any]:
    """Carry out ``upload FOLDER`` or ``download PATH [--out DIR]``, as typed.

    Raises:
        UsageError: The words are neither.
        MmarRunnerError: As `upload` and `download`.
    """
    match list(words):
        case ["upload", folder]:
            return await upload(session, Path(folder), moved=moved)
        case ["download", path]:
            return await download(session, path, Path(), moved=moved)
        case ["download", path, "--out", out] | ["download", "--out", out, path]:
            return await download(session, path, Path(out), moved=moved)
    usage = "usage: upload FOLDER, or download PATH [--out DIR]"
    msg = f"{' '.join(words)} does not say what is moved"
    raise UsageError(printable(msg), hint=usage)


def sentence(words: Sequence[str], value: Mapping[str, Any]) -> str:
    """Say in a sentence what came of `transferred`."""
    if words[0] == "upload":
        version = "" if value.get("version") is None else f", version {value['version']}"
        return printable(
            f"{value['name']} is uploaded: {value['bytes']} bytes, "
            f"digest {value['digest']}{version}"
        )
    return printable(f"{value['file']}: {value['bytes']} bytes, sha256 {value['sha256']}")


async def upload(session: AdminSession, folder: Path, *, moved: Moved = _unheard) -> dict[str, Any]:
    """Hand a folder to the server and return what it says of it.

    Args:
        session: Of the administrator.
        folder: An MMAR.
        moved: Hears how many bytes the server holds, and of how many.

    Returns:
        name, digest, owner, org, uploaded, bytes, version and sha256.

    Raises:
        MmarUnreadableError: The folder is none.
        PackageError: It holds what cannot be packed.
        StorageError: A file cannot be read, or has changed since the upload began.
        MmarInvalidError: The server found errors in it; its ``findings`` are all of them.
        RefusedError: The server does not take it.
        UnreachableError: The call broke off again and again.
    """
    folder = await in_thread(folder.absolute)
    if not await in_thread(folder.is_dir):
        raise MmarUnreadableError(f"{folder} is no folder", hint="upload FOLDER: a signed MMAR")
    package = await in_thread(packed_in_place, folder)
    value = await _persistently(
        lambda: _Upload(session, package, folder.name, moved).send(session.stub.upload())
    )
    if value.pop("accepted", False):
        return value
    raise _refusal(value)


async def download(
    session: AdminSession, path: str, out: Path, *, moved: Moved = _unheard
) -> dict[str, Any]:
    """Fetch a file of a run, or a folder as an archive.

    Args:
        session: Of the administrator.
        path: Below the server's workspace, such as ``run_1/summary.json``.
        out: The folder that gets it.
        moved: Hears how many bytes are here, and of how many.

    Returns:
        file, bytes and sha256.

    Raises:
        RefusedError: The server does not give it.
        DigestError: It arrived damaged again and again.
        StorageError: It cannot be written.
        UnreachableError: The call broke off again and again.
    """
    session.understood(["download", path])
    file = await in_thread(IncomingFile, out, path)
    try:
        await _persistently(lambda: _receive(session, path, file, moved))
        target = await in_thread(file.finish)
    finally:
        file.close()
    return {"file": str(target), "bytes": file.offset, "sha256": file.sha256}


async def _receive(session: AdminSession, path: str, file: IncomingFile, moved: Moved) -> None:
    request = DownloadRequest(
        token=session.admitted.token,
        order=session.signed(["download", path]),
        offset=file.offset,
        sha256=file.sha256,
    )
    async with aclosing(session.stub.download(request)) as items:
        async for item in items:
            if isinstance(item, DownloadHeader):
                await in_thread(file.begin, item)
            else:
                await in_thread(file.write, item)
            moved(file.offset, file.total)
    if file.offset < file.total:
        msg = f"the server ended the download after {file.offset} of {file.total} bytes"
        raise UnreachableError(msg)
    await in_thread(file.check)


class _Upload:
    """One attempt to send one package.

    Args:
        session: Of the administrator.
        package: What is sent.
        name: What it is to be called.
        moved: Hears how many bytes have arrived.
    """

    def __init__(
        self, session: AdminSession, package: FolderPackage, name: str, moved: Moved
    ) -> None:
        self._session = session
        self._package = package
        self._name = name
        self._moved = moved
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[int] = self._loop.create_future()
        self._credits = 0
        self._changed = asyncio.Event()
        self._sizes: deque[int] = deque()
        self._arrived = 0
        self._under_way = UnderWay(0)

    async def send(self, call: UploadCall) -> dict[str, Any]:
        """Send the package over a call and return what the server says at its end."""
        receiving = asyncio.create_task(self._receipt(call))
        sending = asyncio.create_task(self._send(call))
        try:
            await asyncio.wait({receiving, sending}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done() and (error := sending.exception()) is not None:
                if isinstance(error, WireError):
                    await receiving  # it is told why the call ended
                raise error
            return await receiving
        finally:
            await end(sending, receiving)
            call.cancel()

    async def _send(self, call: UploadCall) -> None:
        package = self._package
        order = self._session.signed(["upload", self._name, package.sha256])
        token = self._session.admitted.token
        await call.write(UploadBegin(token=token, order=order, total_bytes=package.size))
        offset = await self._ready
        with package.open(offset) as reader:
            while block := await in_thread(reader.read, 2 * CHUNK_BYTES):
                await self._send_block(call, memoryview(block))
        await call.write(UploadCommit())

    async def _send_block(self, call: UploadCall, left: memoryview) -> None:
        while left:
            while not self._credits or not self._under_way.has_room():
                self._changed.clear()
                await self._changed.wait()
            chunk = left[: self._under_way.chunk_bytes]
            left = left[len(chunk) :]
            self._credits -= 1
            self._sizes.append(len(chunk))
            self._under_way.sent(len(chunk), self._loop.time())
            await call.write(chunk)

    async def _receipt(self, call: UploadCall) -> dict[str, Any]:
        while (answer := await call.read()) is not None:
            match answer:
                case UploadReceipt():
                    self._moved(self._package.size, self._package.size)
                    return _value(answer.event)
                case UploadReady():
                    self._start(answer)
                case UploadCredit():
                    self._count(answer.credits)
            self._changed.set()
        msg = "the server ended the upload without a receipt"
        raise UnreachableError(msg)

    def _start(self, ready: UploadReady) -> None:
        if self._ready.done() or ready.offset > self._package.size:
            msg = "the server's answer to an upload makes no sense"
            raise ProtocolError(msg)
        self._credits, self._arrived = ready.credits, ready.offset
        self._under_way = UnderWay(ready.offset)
        self._moved(self._arrived, self._package.size)
        self._ready.set_result(ready.offset)

    def _count(self, written: int) -> None:
        """Note that so many chunks more have arrived."""
        if written > len(self._sizes):
            msg = "the server took chunks that were not sent"
            raise ProtocolError(msg)
        self._credits += written
        self._arrived += sum(self._sizes.popleft() for _ in range(written))
        self._under_way.arrived(self._arrived, self._loop.time())
        self._moved(self._arrived, self._package.size)


async def _persistently(attempt: Callable[[], Awaitable[_T]]) -> _T:
    """Make an attempt again if the call broke off; what has arrived stays."""
    for left in reversed(range(_ATTEMPTS)):
        try:
            return await attempt()
        except UnreachableError:
            if not left:
                raise
            await asyncio.sleep(_PAUSE)
    raise AssertionError  # the last attempt returned or raised


def _value(data: bytes) -> dict[str, Any]:
    try:
        event = parse_strict(data, limit=_RECEIPT_BYTES)
    except ValueError as error:
        raise ProtocolError(f"what the server says of the upload {error}") from error
    value = event.get("value") if isinstance(event, dict) else None
    if not isinstance(value, dict):
        msg = "what the server says of the upload is no event with a value"
        raise ProtocolError(msg)
    return value


def _refusal(value: dict[str, Any]) -> MmarInvalidError:
    findings = [one for one in value.get("findings", ()) if isinstance(one, dict)]
    message, hint, reason = (str(value.get(key, "")) for key in ("message", "hint", "reason"))
    return MmarInvalidError(message, hint=hint or None, reason=reason or None, findings=findings)
