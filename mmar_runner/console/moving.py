# SPDX-License-Identifier: Apache-2.0
"""Uploads and downloads as a console shows them: events, as of any other order."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.console.transfers import download, upload
from mmar_runner.documents.words import printable
from mmar_runner.errors import MmarUnreadableError, TrustError
from mmar_runner.interfaces.admin_event import Progress, Text, Value
from mmar_runner.security.listing import SIGNATURE_FILE
from mmar_runner.waiting.races import end
from mmar_runner.waiting.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Sequence

    from mmar_runner.console.session import AdminSession

#: What is done by calls of their own.
MOVING: Final = frozenset({"upload", "download"})


async def moving(
    session: AdminSession, words: Sequence[str]
) -> AsyncGenerator[dict[str, Any], None]:
    """Upload or download something and yield its events, as in the schema ``admin_event``.

    Args:
        session: Of the administrator.
        words: ``upload FOLDER`` or ``download PATH [FOLDER]``.

    Raises:
        MmarRunnerError: As `mmar_runner.console.transfers` says.
    """
    began = time.monotonic()
    so_far = _SoFar()
    work = asyncio.create_task(_work(session, words, so_far))
    try:
        while (step := await so_far.next(work)) is not None:
            yield Progress(" ".join(words[:2]), *step, unit="bytes").to_json()
        value = await work
    finally:
        await end(work)
    yield Text(_sentence(words[0], value)).to_json()
    yield Value(value).to_json()
    at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    seconds = round(time.monotonic() - began, 6)
    yield {"kind": "end", "status": "done", "seconds": seconds, "at": at}


class _SoFar:
    """How much has been moved; only the newest word counts."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self._step = (0, 0)

    def moved(self, done: int, total: int) -> None:
        """Hear how many bytes have been moved, and of how many."""
        self._step = (done, total)
        self._changed.set()

    async def next(self, work: asyncio.Task[dict[str, Any]]) -> tuple[int, int] | None:
        """Return the next word; None if the work has ended."""
        changed = asyncio.create_task(self._changed.wait())
        try:
            await asyncio.wait({changed, work}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end(changed)
        if not self._changed.is_set():
            return None
        self._changed.clear()
        return self._step


def _work(
    session: AdminSession, words: Sequence[str], so_far: _SoFar
) -> Coroutine[Any, Any, dict[str, Any]]:
    name, what, *more = words
    if name == "upload":
        return _upload(session, Path(what).expanduser(), so_far)
    out = Path(*more[:1]).expanduser()
    return download(session, what, out, moved=so_far.moved)


async def _upload(session: AdminSession, folder: Path, so_far: _SoFar) -> dict[str, Any]:
    await in_thread(_look_at, folder)
    return await upload(session, folder, moved=so_far.moved)


def _look_at(folder: Path) -> None:
    """Say at once what no server would take, before anything is packed and sent.

    Raises:
        MmarUnreadableError: It is no MMAR.
        TrustError: SIGNATURE_MISSING, nobody signed it.
    """
    if not folder.is_dir():
        return  # `upload` says so
    if not (folder / "config").is_dir():
        msg = f"{printable(str(folder))} is not an MMAR: it has no folder config/"
        raise MmarUnreadableError(msg, hint="upload FOLDER: a signed MMAR")
    if not (folder / SIGNATURE_FILE).exists():
        msg = f"{printable(str(folder))} has no {SIGNATURE_FILE}: nobody signed it"
        hint = f"sign it first: `mmar-runner sign-mmar {printable(folder.name)} --kit KIT`"
        raise TrustError(msg, hint=hint, reason="SIGNATURE_MISSING")


def _sentence(name: str, value: dict[str, Any]) -> str:
    if name == "upload":
        said = (f"{key} {value[key]}" for key in ("version", "digest") if value.get(key))
        return printable(", ".join((f"{value.get('name')} is uploaded", *said)))
    return printable(f"{value.get('file')}: {value.get('bytes')} bytes")
