# SPDX-License-Identifier: Apache-2.0
"""The transfer of a package: it goes on at its offset, whatever breaks off."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.client.connection import least_pace as pace
from mmar_runner.errors import RefusedError, RunStoppedError, UnreachableError
from mmar_runner.hooks import LoadedPlugins
from mmar_runner.interfaces.observer import Topic
from mmar_runner.security.kits.kit import StartupKit
from mmar_runner.testing.kits import Kits
from mmar_runner.wire.messages import PackageHeader
from tests.unit.client.package.deployed import LEAD, MIB, contents, deployed


async def test_a_client_with_nothing_but_its_kit_gets_what_it_may_run(
    root: Path, kits: Kits, site: StartupKit, plugins: LoadedPlugins, tmp_path: Path
) -> None:
    async with deployed(root, kits, site, tmp_path) as client:
        admission = await client.fetch(plugins)
    assert admission.root.parent.parent == client.workspace / "store"
    assert admission.root.name == "job"
    assert admission.signers == (LEAD,)
    assert admission.root.stat().st_mode & 0o222 == 0
    assert contents(admission.root) == contents(root)
    assert list((client.workspace / "packages").iterdir()) == []
    assert client.audited() == [("mmar.run", "accepted", "")]
    assert client.server.declined == []


async def test_a_transfer_that_breaks_off_goes_on_at_its_offset(
    root: Path, kits: Kits, site: StartupKit, plugins: LoadedPlugins, tmp_path: Path
) -> None:
    async with deployed(root, kits, site, tmp_path) as client:
        client.server.limits = [2, 3]
        await client.fetch(plugins)
    offsets = client.server.offsets
    assert offsets[0] == 0
    assert 0 < offsets[1] < offsets[2]
    [received] = client.recorder.all(Topic.PACKAGE_RECEIVED)
    assert received.data["resumed_at"] == offsets[2]


def refusing_once(reason: str, before: Callable[[], Any] = lambda: None) -> Callable[[Any], Any]:
    """Return what answers with a refusal, and from then on as it should."""
    reasons = [reason]

    def change(item: Any) -> Any:
        if reasons:
            before()
            raise RefusedError("not now", reason=reasons.pop())
        return item

    return change


@pytest.mark.parametrize("reason", ["AUDIT_WRITE", "AUDIT_OVERLOADED", "TOO_SLOW", "DISK_FULL"])
async def test_a_refusal_that_passes_is_waited_out_whatever_is_fetched(
    reason: str,
    root: Path,
    kits: Kits,
    site: StartupKit,
    plugins: LoadedPlugins,
    tmp_path: Path,
) -> None:
    async with deployed(root, kits, site, tmp_path) as client:
        client.server.change = refusing_once(reason)
        await client.fetch(plugins)
    [waited] = client.recorder.all(Topic.WAITING)
    assert waited.data["message"] == "not now; trying again"


async def test_a_certificate_that_is_too_old_is_final_unless_it_was_renewed(
    root: Path, kits: Kits, site: StartupKit, plugins: LoadedPlugins, tmp_path: Path
) -> None:
    def renew() -> None:
        fresh = site.cert_file.with_suffix(".fresh")
        fresh.write_bytes(site.cert_file.read_bytes())
        fresh.replace(site.cert_file)

    async with deployed(root, kits, site, tmp_path) as client:
        client.server.change = refusing_once("CERT_EXPIRED")
        with pytest.raises(RefusedError) as caught:
            await client.fetch(plugins)
        assert caught.value.reason == "CERT_EXPIRED"
        client.server.change = refusing_once("CERT_EXPIRED", renew)
        await client.fetch(plugins)


async def dripping(honest: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """Pass a package on byte by byte."""
    async for item in honest:
        if isinstance(item, PackageHeader):
            yield item
            continue
        for byte in bytes(getattr(item, "payload", item)):
            yield bytes([byte])
            await asyncio.sleep(0.05)


async def test_a_server_that_drips_holds_no_client_and_an_honest_one_goes_on_from_there(
    root: Path,
    kits: Kits,
    site: StartupKit,
    plugins: LoadedPlugins,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace, "PACE_SECONDS", 0.4)
    async with deployed(root, kits, site, tmp_path) as client:
        honest = client.server.honest.get_package
        monkeypatch.setattr(client.server.honest, "get_package", lambda *a: dripping(honest(*a)))
        with pytest.raises(UnreachableError) as caught:
            async with asyncio.timeout(30):
                await client.fetch(plugins)
        assert caught.value.reason == "TOO_SLOW"
        assert "package" in caught.value.message
        assert len(client.server.offsets) == 3
        assert client.server.offsets == sorted(set(client.server.offsets))

        monkeypatch.setattr(client.server.honest, "get_package", honest)
        admission = await client.fetch(plugins)
    assert client.server.offsets[-1] >= client.server.offsets[2] > 0
    assert contents(admission.root) == contents(root)


async def test_a_client_that_was_stopped_goes_on_at_its_offset(
    root: Path, kits: Kits, site: StartupKit, plugins: LoadedPlugins, tmp_path: Path
) -> None:
    async with deployed(root, kits, site, tmp_path) as client:
        client.server.limits = [2, 0, 0]
        fetching = asyncio.create_task(client.fetch(plugins))
        await asyncio.to_thread(client.recorder.wait_for, Topic.UNREACHABLE)
        client.stop.set()
        with pytest.raises(RunStoppedError):
            await fetching
        client.stop.clear()
        client.server.limits = []
        await client.fetch(plugins)
    assert client.server.offsets[-1] > 0


async def test_the_rest_of_another_package_is_not_taken_for_this_ones(
    root: Path, kits: Kits, site: StartupKit, plugins: LoadedPlugins, tmp_path: Path
) -> None:
    folder = tmp_path / "ws" / "packages"
    folder.mkdir(parents=True)
    (folder / "incoming.part").write_bytes(bytes(MIB))
    told = {"name": "job", "digest": "0" * 64, "sha256": "0" * 64, "total_bytes": 2 * MIB}
    (folder / "incoming.json").write_text(json.dumps(told))
    async with deployed(root, kits, site, tmp_path) as client:
        await client.fetch(plugins)
    assert client.server.offsets == [MIB]
