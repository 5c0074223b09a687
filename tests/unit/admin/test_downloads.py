# SPDX-License-Identifier: Apache-2.0
"""Sending files: whole, from where it broke off, and only what the asker may see."""

from __future__ import annotations

import io
from contextlib import aclosing
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zipfile import ZipFile

import pytest

from mmar_runner.admin.entrance.access import unknown
from mmar_runner.admin.files.downloads import DOWNLOADS_OF_ONE, Downloads
from mmar_runner.errors import NotAuthorizedError, PackageError, RefusedError
from mmar_runner.interfaces.admin_command import CommandCall, Targets
from mmar_runner.orders.commands import BUILT_IN
from mmar_runner.wire.admin_codec import decode_download_part, encode_download_part
from mmar_runner.wire.messages import DownloadHeader, DownloadRequest

DATA = bytes(range(256)) * 3000


class Access:
    """Everybody may see run 1, and nobody another."""

    def require_run(self, number: int, _runs: Any, _user: str) -> None:
        if number != 1:
            raise unknown("run", str(number), ())


@pytest.fixture
def downloads(tmp_path: Path) -> Downloads:
    run = tmp_path / "ws" / "run_1"
    (run / "models").mkdir(parents=True)
    (run / "updates").mkdir()
    (run / "models" / "final").write_bytes(DATA)
    for name in ("summary.json", "journal.db", "updates/site-1", "models/.x.tmp"):
        (run / name).write_text(name)
    access: Any = Access()
    return Downloads(tmp_path / "ws", tmp_path / "out", access, dict)


def authorized(path: str) -> Any:
    async def authorize(*_: Any) -> CommandCall:
        spec, target = BUILT_IN["download"], Targets(server=True)
        return CommandCall(spec, "ann@a.org", target, {"PATH": path})

    return authorize


async def fetch(downloads: Downloads, path: str, **request: Any) -> tuple[DownloadHeader, bytes]:
    peer: Any = SimpleNamespace()
    header, data = None, b""
    items = downloads.send(DownloadRequest(**request), peer, authorized(path))
    async for item in items:
        part = decode_download_part(encode_download_part(item))
        if isinstance(part, DownloadHeader):
            header = part
        else:
            data += bytes(part)
    assert header is not None
    return header, data


async def test_a_file_comes_as_it_is(downloads: Downloads) -> None:
    header, data = await fetch(downloads, "run_1/models/final")
    assert data == DATA
    assert (header.name, header.total_bytes, header.offset) == ("final", len(DATA), 0)
    assert header.sha256 == sha256(DATA).hexdigest()


async def test_what_broke_off_goes_on(downloads: Downloads) -> None:
    digest = sha256(DATA).hexdigest()
    header, data = await fetch(downloads, "run_1/models/final", offset=1000, sha256=digest)
    assert (header.offset, data) == (1000, DATA[1000:])


async def test_another_file_begins_anew(downloads: Downloads) -> None:
    header, data = await fetch(downloads, "run_1/models/final", offset=1000, sha256="0" * 64)
    assert (header.offset, data) == (0, DATA)


async def test_a_folder_comes_as_an_archive_without_secrets(
    downloads: Downloads, tmp_path: Path
) -> None:
    header, data = await fetch(downloads, "run_1")
    assert header.name == "run_1.zip"
    with ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == ["run_1/models/final", "run_1/summary.json"]
        assert archive.read("run_1/models/final") == DATA
    assert list((tmp_path / "out").iterdir()) == []


async def test_a_folder_with_a_link_is_refused(downloads: Downloads, tmp_path: Path) -> None:
    (tmp_path / "ws" / "run_1" / "models" / "link").symlink_to("/etc/passwd")
    with pytest.raises(PackageError):
        await fetch(downloads, "run_1/models")


async def test_another_run_and_another_path_are_refused(downloads: Downloads) -> None:
    with pytest.raises(NotAuthorizedError) as caught:
        await fetch(downloads, "run_2/summary.json")
    assert caught.value.reason == "UNKNOWN"
    with pytest.raises(NotAuthorizedError):
        await fetch(downloads, "run_1/journal.db")


async def test_one_user_has_few_downloads_at_once(downloads: Downloads) -> None:
    peer: Any = SimpleNamespace()
    calls = [
        downloads.send(DownloadRequest(), peer, authorized("run_1/models/final"))
        for _ in range(DOWNLOADS_OF_ONE + 1)
    ]
    async with aclosing(calls[0]) as first, aclosing(calls[1]) as second:  # type: ignore[type-var]
        await anext(first)
        await anext(second)
        with pytest.raises(RefusedError) as caught:
            await anext(calls[2])
    assert caught.value.reason == "TOO_MANY_DOWNLOADS"
    assert (await fetch(downloads, "run_1/models/final"))[1] == DATA
