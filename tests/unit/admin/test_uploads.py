# SPDX-License-Identifier: Apache-2.0
"""Receiving a package: in pieces, anew, by whoever may; what is refused leaves nothing."""

from __future__ import annotations

import asyncio
import io
import json
import os
import tarfile
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import pytest

from mmar_runner.admin.files.incoming import IncomingPackages
from mmar_runner.admin.files.uploaded import Uploaded
from mmar_runner.admin.files.uploads import Uploads
from mmar_runner.errors import (
    DigestError,
    MmarInvalidError,
    MmarRunnerError,
    NotAuthorizedError,
    PackageError,
    ProtocolError,
    RefusedError,
)
from mmar_runner.interfaces.admin_command import CommandCall, Targets
from mmar_runner.orders.commands import BUILT_IN
from mmar_runner.security.listing import HashedFile
from mmar_runner.security.packages.packing import DEFAULT_LIMITS, pack
from mmar_runner.wire.messages import UploadBegin, UploadCommit, UploadReady, UploadReceipt

CHUNK = 1000


class Everybody:
    """Everybody is of the organisation that the address names, and sees no other."""

    def org_of(self, user: str) -> str:
        return user.partition("@")[2]

    def sees_all(self, user: str) -> bool:
        return user.startswith("root")


class Call:
    """One upload, as the servicer sees it: parts that come, answers that are kept.

    Args:
        parts: What comes; None is the end.
        hold: After how many parts nothing comes any more.
        honest: Whether chunks wait for credit.
    """

    def __init__(self, *parts: Any, hold: int | None = None, honest: bool = True) -> None:
        self._parts = list(parts)
        self._hold = hold
        self._honest = honest
        self._credits = 0
        self._credited = asyncio.Event()
        self.answers: list[Any] = []
        self.held = asyncio.Event()

    async def read(self) -> Any:
        if self._hold is not None:
            if not self._hold:
                self.held.set()
                await asyncio.Event().wait()
            self._hold -= 1
        part = self._parts.pop(0) if self._parts else None
        while self._honest and isinstance(part, bytes) and not self._credits:
            self._credited.clear()
            await self._credited.wait()
        self._credits -= isinstance(part, bytes)
        return part

    async def write(self, item: Any) -> None:
        self._credits += getattr(item, "credits", 0)
        self._credited.set()
        self.answers.append(item)

    @property
    def offset(self) -> int:
        [ready] = [one for one in self.answers if isinstance(one, UploadReady)]
        return int(ready.offset)

    @property
    def value(self) -> dict[str, Any]:
        receipt = self.answers[-1]
        assert isinstance(receipt, UploadReceipt)
        return dict(json.loads(receipt.event)["value"])


class Server:
    """Uploads of a folder, whose MMARs all pass unless `look` says otherwise."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "transfer"
        self.looked: list[str] = []
        self.refuse: MmarRunnerError | None = None
        self.restart()

    def restart(self) -> None:
        access: Any = Everybody()
        self.uploaded = Uploaded(self.folder, access)
        incoming = IncomingPackages(self.folder / ".incoming")
        self.uploaded.settle(incoming.folder)
        incoming.sweep()
        self.uploads = Uploads(incoming, self.uploaded, access, self.look)

    def look(self, mmar: Path, hashed: Mapping[str, HashedFile]) -> Any:
        assert hashed == _hashed(mmar)
        self.looked.append(mmar.name)
        if self.refuse is not None:
            raise self.refuse
        return SimpleNamespace(digest="d" * 64, manifest=SimpleNamespace(version=3))

    async def receive(
        self, call: Call, user: str = "ann@a.org", name: str = "study", digest: str = ""
    ) -> None:
        async def authorize(_token: str, _order: bytes, _peer: Any) -> CommandCall:
            words = {"FOLDER": name, "SHA256": digest}
            return CommandCall(BUILT_IN["upload"], user, Targets(server=True), words)

        stream, peer = call, SimpleNamespace()
        await self.uploads.receive(stream, peer, authorize)  # type: ignore[arg-type]

    @property
    def left(self) -> list[str]:
        return sorted(path.name for path in self.folder.rglob("*") if path.is_file())


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


@pytest.fixture
def package(tmp_path: Path) -> bytes:
    folder = tmp_path / "study"
    (folder / "config").mkdir(parents=True)
    (folder / "config" / "config_fed_server.json").write_text("{}")
    (folder / "weights").write_bytes(os.urandom(5000))
    return pack(folder, tmp_path / "p.zip").path.read_bytes()


def _hashed(mmar: Path) -> dict[str, HashedFile]:
    """What a folder's files really hold."""
    held = {path: path.read_bytes() for path in mmar.rglob("*") if path.is_file()}
    return {
        path.relative_to(mmar).as_posix(): HashedFile(len(data), sha256(data).hexdigest())
        for path, data in held.items()
    }


def parts(data: bytes, offset: int = 0) -> list[Any]:
    chunks = [data[at : at + CHUNK] for at in range(offset, len(data), CHUNK)]
    return [UploadBegin(total_bytes=len(data)), *chunks, UploadCommit()]


def digest_of(data: bytes) -> str:
    return sha256(data).hexdigest()


async def test_a_package_becomes_an_mmar(server: Server, package: bytes) -> None:
    call = Call(*parts(package))
    await server.receive(call, digest=digest_of(package))
    expected = {
        "accepted": True,
        "name": "study",
        "owner": "ann@a.org",
        "org": "a.org",
        "digest": "d" * 64,
        "bytes": len(package),
        "version": 3,
        "sha256": digest_of(package),
    }
    assert expected.items() <= call.value.items()
    assert server.left == ["config_fed_server.json", "study.json", "weights"]
    assert server.looked == ["study"]


async def test_a_call_that_breaks_off_is_gone_on_with(server: Server, package: bytes) -> None:
    begin, *chunks, _ = parts(package)
    with pytest.raises(ProtocolError, match="before its Commit"):
        await server.receive(Call(begin, *chunks[:2]), digest=digest_of(package))
    server.restart()  # as if it had been killed
    call = Call(*parts(package, 2 * CHUNK))
    await server.receive(call, digest=digest_of(package))
    assert call.offset == 2 * CHUNK
    assert call.value["accepted"]


async def test_a_receipt_that_was_lost_is_given_again(server: Server, package: bytes) -> None:
    await server.receive(Call(*parts(package)), digest=digest_of(package))
    again = Call(UploadBegin(total_bytes=len(package)), UploadCommit())
    await server.receive(again, digest=digest_of(package), user="amy@a.org")
    assert again.offset == len(package)
    assert again.value["owner"] == "ann@a.org"
    assert server.looked == ["study"]


async def test_a_newer_upload_of_the_same_takes_over(server: Server, package: bytes) -> None:
    older = Call(*parts(package), hold=3)
    first = asyncio.create_task(server.receive(older, digest=digest_of(package)))
    await older.held.wait()
    newer = Call(*parts(package, 2 * CHUNK))
    await server.receive(newer, digest=digest_of(package))
    assert newer.value["accepted"]
    with pytest.raises(RefusedError) as caught:
        await first
    assert caught.value.reason == "TOO_MANY_UPLOADS"


async def test_other_bytes_leave_nothing(server: Server, package: bytes) -> None:
    with pytest.raises(DigestError):
        await server.receive(Call(*parts(package)), digest=digest_of(b"other"))
    assert server.left == []


async def test_what_is_refused_leaves_nothing_and_the_earlier_one_stays(
    server: Server, package: bytes, tmp_path: Path
) -> None:
    await server.receive(Call(*parts(package)), digest=digest_of(package))
    before = server.left
    finding = {"code": "X001", "file": "config/a.json", "line": 3, "message": "no"}
    server.refuse = MmarInvalidError("study has 1 error", hint="mend it", findings=[finding])
    (tmp_path / "study" / "more").write_text("more")
    newer = pack(tmp_path / "study", tmp_path / "newer.zip").path.read_bytes()
    call = Call(*parts(newer))
    await server.receive(call, digest=digest_of(newer))
    assert not call.value["accepted"]
    assert call.value["findings"] == [finding]
    assert call.value["message"] == "study has 1 error"
    server.refuse = NotAuthorizedError("no", reason="BYOC_NOT_ALLOWED")
    with pytest.raises(NotAuthorizedError):
        await server.receive(Call(*parts(newer)), digest=digest_of(newer))
    assert server.left == before


async def test_a_name_of_another_organisation_is_refused_at_once(
    server: Server, package: bytes
) -> None:
    await server.receive(Call(*parts(package)), digest=digest_of(package))
    call = Call(*parts(package))
    with pytest.raises(NotAuthorizedError) as caught:
        await server.receive(call, user="bob@b.org", digest=digest_of(package))
    assert caught.value.reason == "MMAR_NAME_TAKEN"
    assert call.answers == []


async def test_two_organisations_that_want_one_name_at_once(
    server: Server, package: bytes, tmp_path: Path
) -> None:
    (tmp_path / "study" / "more").write_text("more")
    other = pack(tmp_path / "study", tmp_path / "other.zip").path.read_bytes()
    results = await asyncio.gather(
        server.receive(Call(*parts(package)), digest=digest_of(package)),
        server.receive(Call(*parts(other)), user="bob@b.org", digest=digest_of(other)),
        return_exceptions=True,
    )
    [refused] = [one for one in results if one is not None]
    assert isinstance(refused, NotAuthorizedError)
    assert len(server.uploaded.known()) == 1
    assert [name for name in server.left if name.endswith(".part")] == []


async def test_a_package_that_is_too_large_is_refused_before_the_first_byte(
    server: Server,
) -> None:
    call = Call(UploadBegin(total_bytes=DEFAULT_LIMITS.package_bytes + 1))
    with pytest.raises(PackageError) as caught:
        await server.receive(call, digest="a" * 64)
    assert caught.value.reason == "TOO_LARGE"
    assert call.answers == []


async def test_a_chunk_without_credit_is_refused(server: Server) -> None:
    data = os.urandom(40)
    chunks = [data[at : at + 1] for at in range(40)]
    call = Call(UploadBegin(total_bytes=len(data)), *chunks, honest=False)
    with pytest.raises(ProtocolError, match="without credit"):
        await server.receive(call, digest=digest_of(data))


def zipped(*entries: tuple[str, bytes, int]) -> bytes:
    target = io.BytesIO()
    with ZipFile(target, "w", ZIP_DEFLATED) as archive:
        for name, content, mode in entries:
            info = ZipInfo(name)
            info.external_attr, info.compress_type = mode << 16, ZIP_DEFLATED
            archive.writestr(info, content)
    return target.getvalue()


def tarred(name: str, kind: bytes) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, "/etc/passwd"
        archive.addfile(entry)
    return target.getvalue()


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "up": (lambda: zipped(("../x", b"x", 0o100644)), "UNSAFE_PATH"),
    "absolute": (lambda: zipped(("/etc/x", b"x", 0o100644)), "UNSAFE_PATH"),
    "link": (lambda: zipped(("x", b"/etc/passwd", 0o120777)), "UNSAFE_ENTRY"),
    "setuid": (lambda: zipped(("x", b"x", 0o104755)), "UNSAFE_ENTRY"),
    "twice": (lambda: zipped(("x", b"x", 0o100644), ("X", b"x", 0o100644)), "UNSAFE_PATH"),
    "tar link": (lambda: tarred("x", tarfile.SYMTYPE), "UNSAFE_ENTRY"),
    "tar hard link": (lambda: tarred("x", tarfile.LNKTYPE), "UNSAFE_ENTRY"),
    "tar device": (lambda: tarred("x", tarfile.CHRTYPE), "UNSAFE_ENTRY"),
    "rubbish": (lambda: os.urandom(5000), "FORMAT"),
    "many": (
        lambda: zipped(*((f"f{number}", b"", 0o100644) for number in range(20_001))),
        "TOO_LARGE",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
async def test_a_hostile_package_leaves_nothing(
    server: Server, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, reason = HOSTILE[kind]
    data = make()
    chunks = [data[at : at + (1 << 20)] for at in range(0, len(data), 1 << 20)]
    call = Call(UploadBegin(total_bytes=len(data)), *chunks, UploadCommit())
    with pytest.raises(PackageError) as caught:
        await server.receive(call, digest=digest_of(data))
    assert caught.value.reason == reason
    assert server.left == []
    assert server.looked == []


async def test_a_bomb_is_refused_by_what_the_disk_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(tmp_path)
    data = zipped(("zeros", bytes(8 << 20), 0o100644))
    free = {"free": 1 << 30}
    monkeypatch.setattr(server.uploads._incoming, "_free", lambda _: free["free"])
    call = Call(UploadBegin(total_bytes=len(data)), data, UploadCommit())
    free["free"] = (8 << 20) * 2 + (100 << 20)
    await server.receive(call, digest=digest_of(data))  # it fits into half of what is free
    assert call.value["accepted"]
    monkeypatch.setattr("mmar_runner.admin.files.incoming.SPARE_BYTES", 0)
    free["free"] = 8 << 20
    with pytest.raises(PackageError) as caught:
        await server.receive(
            Call(UploadBegin(total_bytes=len(data)), data, UploadCommit()),
            name="other",
            digest=digest_of(data),
        )
    assert caught.value.reason == "TOO_LARGE"
    assert "other.json" not in server.left
