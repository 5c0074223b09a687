# SPDX-License-Identifier: Apache-2.0
"""What a site declines: what was changed, what is old, what its policy does not allow."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from mmar_runner.errors import CertificateError, MmarRunnerError, RefusedError, UnreachableError
from mmar_runner.hooks import LoadedPlugins, load_plugins
from mmar_runner.interfaces.observer import Topic
from mmar_runner.security.audit.reading import read_audit
from mmar_runner.security.decision import Decision
from mmar_runner.security.kits.kit import StartupKit
from mmar_runner.security.packages.packing import PackedFile
from mmar_runner.security.steps import refuses
from mmar_runner.server.calls import packages
from mmar_runner.testing.builders import MmarBuilder
from mmar_runner.testing.kits import Kits, make_kits
from mmar_runner.testing.processes import free_port
from mmar_runner.wire.channel import open_channel
from mmar_runner.wire.credentials import TlsFiles, channel_credentials
from mmar_runner.wire.messages import DeclineRequest
from mmar_runner.wire.stub import DiscoveryStub
from tests.unit.client.package.deployed import (
    LEAD,
    MIB,
    Interrupted,
    Site,
    contents,
    deployed,
    signed,
)


async def refused(root: Path, kits: Kits, site: StartupKit, tmp_path: Path) -> Site:
    """Return a client after it has refused what was deployed."""
    async with deployed(root, kits, site, tmp_path) as client:
        reason = await client.refusal(load_plugins())
    assert [request.reason for request in client.server.declined] == [reason]
    assert client.audited() == [("mmar.run", "refused", reason)]
    return client


def unsign(root: Path) -> None:
    (root / "signature.json").unlink()


def alter(root: Path) -> None:
    path = root / "config" / "config_fed_client.json"
    path.write_bytes(path.read_bytes().replace(b"EchoTrainer", b"EchoTrainer "))


def add(root: Path) -> None:
    (root / "custom").mkdir()
    (root / "custom" / "evil.py").write_bytes(b"open('/tmp/canary-of-a-test', 'w')")


def take(root: Path) -> None:
    (root / "models" / "start.safetensors").unlink()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (unsign, "SIGNATURE_MISSING"),
        (alter, "MANIFEST_MISMATCH"),
        (add, "MANIFEST_MISMATCH"),
        (take, "MANIFEST_MISMATCH"),
    ],
)
async def test_what_a_compromised_server_changed_is_declined(
    spoil: Callable[[Path], None],
    reason: str,
    root: Path,
    kits: Kits,
    site: StartupKit,
    tmp_path: Path,
) -> None:
    spoil(root)
    client = await refused(root, kits, site, tmp_path)
    assert client.server.declined[0].reason == reason


async def test_an_older_version_is_declined(
    root: Path, kits: Kits, site: StartupKit, plugins: LoadedPlugins, tmp_path: Path
) -> None:
    (tmp_path / "new").mkdir()
    newer = signed(tmp_path / "new", kits, version=7)
    async with deployed(newer, kits, site, tmp_path) as client:
        await client.fetch(plugins)
    (tmp_path / "again").mkdir()
    async with deployed(root, kits, site, tmp_path / "again") as client:
        with pytest.raises(MmarRunnerError) as caught:
            await client.fetch(plugins)
    assert caught.value.reason == "VERSION_ROLLBACK"


async def test_an_mmar_for_others_is_declined(kits: Kits, site: StartupKit, tmp_path: Path) -> None:
    root = signed(tmp_path, kits, audience=("site-2",))
    client = await refused(root, kits, site, tmp_path)
    assert client.server.declined[0].reason == "WRONG_AUDIENCE"


async def test_an_mmar_that_is_not_valid_is_declined(
    kits: Kits, site: StartupKit, tmp_path: Path
) -> None:
    root = signed(tmp_path, kits, mmar=MmarBuilder("job").trainer("NoSuchTrainer"))
    client = await refused(root, kits, site, tmp_path)
    assert client.server.declined[0].reason == "MMAR_INVALID"


async def test_code_that_the_site_did_not_accept_is_declined_and_never_imported(
    kits: Kits, site: StartupKit, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    code = f"open({str(canary)!r}, 'w')\nclass Trainer:\n    pass\n"
    mmar = MmarBuilder("job").file("custom/mine.py", code).trainer("mine.Trainer")
    client = await refused(signed(tmp_path, kits, mmar=mmar), kits, site, tmp_path)
    assert client.server.declined[0].reason == "BYOC_NOT_ALLOWED"
    assert not canary.exists()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [("../../evil", b"out", "UNSAFE_PATH"), ("bomb.txt", bytes(8 * MIB), "TOO_LARGE")],
    ids=["a name that leads away", "a bomb"],
)
async def test_a_package_that_must_not_be_unpacked_is_declined(
    name: str,
    content: bytes,
    reason: str,
    root: Path,
    kits: Kits,
    site: StartupKit,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def evil(folder: Path, destination: Path) -> PackedFile:
        with zipfile.ZipFile(destination, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, content)
        data = destination.read_bytes()
        return PackedFile(destination, sha256(data).hexdigest(), len(data))

    monkeypatch.setattr(packages, "pack", evil)
    client = await refused(root, kits, site, tmp_path)
    assert client.server.declined[0].reason == reason
    assert not any(path.endswith(("evil", "bomb.txt")) for path in contents(tmp_path))


async def test_a_site_that_may_not_have_it_is_told_the_rule(
    root: Path, kits: Kits, site: StartupKit, plugins: LoadedPlugins, tmp_path: Path
) -> None:
    step = refuses("site.byoc", "BYOC_NOT_ALLOWED", "No code at that site.", hint="Ask.")
    no = Decision("deploy", "site-1", (LEAD,), "0" * 64, (step,))
    async with deployed(root, kits, site, tmp_path, **{"site-1": no}) as client:
        with pytest.raises(RefusedError) as caught:
            await client.fetch(plugins)
    assert (caught.value.reason, caught.value.message) == (step.reason, step.message)
    assert not (tmp_path / "mmar.zip").exists()


async def test_whoever_declines_in_a_flood_is_shown_a_few_times_and_counted(
    root: Path, kits: Kits, site: StartupKit, tmp_path: Path
) -> None:
    tls = TlsFiles(site.cert_file, site.key_file, site.root_file)
    async with deployed(root, kits, site, tmp_path) as client:
        channel = open_channel(client.target, credentials=channel_credentials(tls))
        stub = DiscoveryStub(channel, client.target)
        honest = DeclineRequest(digest="0" * 64, reason="BYOC", message="a\x1b[2Jb" + "x" * 5000)
        for _ in range(20):
            await stub.decline(honest)
        for digest, reason in (("0", "BYOC"), ("0" * 64, "not an id"), ("0" * 64, "")):
            with pytest.raises(RefusedError) as caught:
                await stub.decline(DeclineRequest(digest=digest, reason=reason))
            assert caught.value.reason == "PROTOCOL"
        await channel.close()
        shown = client.seen.all(Topic.SITE_DECLINED)
    assert len(shown) == 5
    assert all(str(each.data["message"]).startswith("a [2Jbxx") for each in shown)
    assert len(str(shown[0].data["message"])) <= 600
    lines = [x for x in read_audit(tmp_path / "server" / "audit.jsonl") if x["action"] == "Decline"]
    counted = [line for line in lines if line["decision"] == "noted"]
    assert len(counted) <= 20
    assert all("\x1b" not in str(line) for line in lines)


async def test_nobody_there_is_given_up_in_time(
    site: StartupKit, plugins: LoadedPlugins, tmp_path: Path
) -> None:
    client = Site(tmp_path, site, Interrupted(None), f"localhost:{free_port()}")
    with pytest.raises(UnreachableError):
        await client.fetch(plugins, connect_timeout=0.1)


async def test_a_server_of_another_project_is_told_apart(
    root: Path, kits: Kits, site: StartupKit, plugins: LoadedPlugins, tmp_path: Path
) -> None:
    strangers = make_kits(tmp_path / "others", project="others")
    async with deployed(root, strangers, site, tmp_path) as client:
        with pytest.raises(CertificateError) as caught:
            await client.fetch(plugins)
    assert caught.value.reason == "CERT_AUTHORITY"
    assert client.recorder.all(Topic.UNREACHABLE) == []
    assert client.server.offsets == []
