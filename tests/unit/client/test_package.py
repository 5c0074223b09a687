# SPDX-License-Identifier: Apache-2.0
"""A client fetches the MMAR over real TLS: resumed, checked, judged, or declined."""

from __future__ import annotations

import asyncio
import json
import os
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.cli.admitted import site_rules
from mmar_runner.client import pace
from mmar_runner.client.package import Delivery, fetch_mmar
from mmar_runner.client.package_file import IncomingPackage
from mmar_runner.client.trust import ClientTrust
from mmar_runner.errors import (
    CertificateError,
    MmarRunnerError,
    RefusedError,
    RunStoppedError,
    UnreachableError,
)
from mmar_runner.hooks import LoadedPlugins, load_plugins
from mmar_runner.interfaces.observer import Topic
from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.folder import open_folder
from mmar_runner.mmar.manifest import list_files
from mmar_runner.security.audit.log import AuditLog
from mmar_runner.security.audit.reading import read_audit
from mmar_runner.security.decision import Decision
from mmar_runner.security.identity import Role
from mmar_runner.security.kits.kit import StartupKit, load_kit
from mmar_runner.security.packages.packing import PackedFile, pack
from mmar_runner.security.pki.keys import load_release_key
from mmar_runner.security.signatures.signing import Signer, Terms, sign_listing
from mmar_runner.security.steps import refuses
from mmar_runner.server import packages
from mmar_runner.server.certificate_gate import CertificateGate
from mmar_runner.server.packages import Deployment, PackageDesk
from mmar_runner.server.revocations import Revocations
from mmar_runner.testing.builders import MmarBuilder
from mmar_runner.testing.kits import Kits, make_kits
from mmar_runner.testing.processes import free_port
from mmar_runner.testing.recorder import Recorder
from mmar_runner.wire.binding import bind
from mmar_runner.wire.channel import open_channel
from mmar_runner.wire.credentials import TlsFiles, channel_credentials, server_credentials
from mmar_runner.wire.messages import DeclineRequest, PackageHeader
from mmar_runner.wire.server import build_server
from mmar_runner.wire.servicer import DiscoveryServicer, FederationServicer
from mmar_runner.wire.stub import DiscoveryStub

MIB = 1 << 20
LEAD = "lead@example.org"


@pytest.fixture(scope="module")
def kits(tmp_path_factory: pytest.TempPathFactory) -> Kits:
    return make_kits(tmp_path_factory.mktemp("project"), clients=("site-1", "site-2"))


@pytest.fixture(scope="module")
def plugins() -> LoadedPlugins:
    return load_plugins()


def kit_of(folder: Path, role: Role) -> StartupKit:
    return load_kit(folder, role, now=datetime.now(UTC))


@pytest.fixture
def site(kits: Kits, tmp_path: Path) -> StartupKit:
    """A kit that remembers nothing of other tests."""
    copy = tmp_path / "site-1"
    copy.mkdir()
    for path in kits.client("site-1").iterdir():
        if path.is_file():
            (copy / path.name).write_bytes(path.read_bytes())
            (copy / path.name).chmod(path.stat().st_mode & 0o777)
    return kit_of(copy, Role.CLIENT)


def signed(folder: Path, kits: Kits, *, mmar: MmarBuilder | None = None, **terms: Any) -> Path:
    """Write an MMAR and have the project's lead sign it."""
    big = ("models/start.safetensors", os.urandom(3 * MIB + 17))
    root = (mmar or MmarBuilder("job")).file(*big).write(folder)
    kit = kit_of(kits.admin(LEAD), Role.ADMIN)
    assert kit.release_key_file is not None
    signer = Signer(
        load_release_key(kit.release_key_file), kit.trust_root, kit.revocation_memory().current
    )
    listing = list_files(open_folder(root, Findings()))
    made = sign_listing(listing, None, signer, Terms(**terms), now=datetime.now(UTC))
    (root / "signature.json").write_bytes(made.envelope.to_json())
    return root


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


class NoFederation(FederationServicer):
    """Nobody comes so far."""

    async def register(self, request, peer):
        raise AssertionError

    quit = heartbeat = send_result = submit_update = register

    def get_model(self, request, peer):
        raise AssertionError


class Interrupted(DiscoveryServicer):
    """Passes on what another servicer says, but breaks off, or tells lies."""

    def __init__(self, honest: DiscoveryServicer) -> None:
        self.honest = honest
        self.offsets: list[int] = []
        self.declined: list[Any] = []
        self.change: Callable[[Any], Any] = lambda item: item
        self.limits: list[int] = []
        self.asked = asyncio.Event()

    async def get_package(self, request, peer):
        self.offsets.append(request.offset)
        self.asked.set()
        left = self.limits.pop(0) if self.limits else 1 << 62
        async for item in self.honest.get_package(request, peer):
            if left <= 0:
                return
            left -= 1
            yield self.change(item)

    async def decline(self, request, peer):
        self.declined.append(request)
        return await self.honest.decline(request, peer)


class Site:
    """A client with its kit, and the server it talks to."""

    def __init__(self, tmp_path: Path, kit: StartupKit, server: Interrupted, target: str) -> None:
        self.workspace = tmp_path / "ws"
        self.kit = kit
        self.server = server
        self.target = target
        self.recorder = Recorder()
        self.seen = Recorder()
        self.stop = asyncio.Event()

    async def fetch(self, plugins: LoadedPlugins, **options: Any) -> Any:
        with AuditLog(self.workspace / "audit.jsonl") as audit:
            trust = ClientTrust(self.kit, self.kit.revocation_memory(), audit, self.target)
            name = self.kit.identity.name
            rules = site_rules(self.kit)
            delivery = Delivery(trust, rules, self.workspace, name, **options)
            return await fetch_mmar(delivery, plugins.registry, self.recorder, self.stop)

    async def refusal(self, plugins: LoadedPlugins) -> str:
        """Return why nothing was fetched, after a look that nothing is left of it."""
        with pytest.raises(MmarRunnerError) as caught:
            await self.fetch(plugins)
        assert [p for p in (self.workspace / "store").glob("[!.]*") if p.is_dir()] == []
        assert list((self.workspace / "packages").iterdir()) == []
        return caught.value.reason

    def audited(self) -> list[tuple[str, str, str]]:
        lines = read_audit(self.workspace / "audit.jsonl")
        return [(line["action"], line["decision"], line["reason"]) for line in lines]


@asynccontextmanager
async def deployed(
    root: Path, kits: Kits, site: StartupKit, tmp_path: Path, **decisions: Decision
) -> AsyncIterator[Site]:
    kit = kit_of(kits.server, Role.SERVER)
    digest = list_files(open_folder(root, Findings())).digest
    accepted = {"site-1": Decision("deploy", "site-1", (LEAD,), digest, ())}
    deployment = Deployment(root, digest, tmp_path / "mmar.zip", accepted | decisions)
    tls = TlsFiles(kit.cert_file, kit.key_file, kit.root_file)
    with AuditLog(tmp_path / "server" / "audit.jsonl") as audit:
        seen = Recorder()
        desk = PackageDesk(deployment, seen, audit)
        revocations = Revocations(kit.revocations, kit.revocation_memory())
        gate = CertificateGate(kit.identity.project, revocations, audit)
        servicer = Interrupted(desk)
        server = build_server(NoFederation(), gate, discovery=servicer)
        address = bind(server, "127.0.0.1:0", credentials=server_credentials(tls))
        await server.start()
        try:
            client = Site(tmp_path, site, servicer, f"localhost:{address.rpartition(':')[2]}")
            client.seen = seen
            yield client
        finally:
            await server.stop(0)
            await desk.close()


@pytest.fixture
def root(tmp_path: Path, kits: Kits) -> Iterator[Path]:
    (tmp_path / "mmars").mkdir()
    return signed(tmp_path / "mmars", kits)


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


async def test_a_state_that_is_damaged_begins_anew(
    root: Path, kits: Kits, site: StartupKit, plugins: LoadedPlugins, tmp_path: Path
) -> None:
    package = pack(root, tmp_path / "same.zip")
    folder = tmp_path / "ws" / "packages"
    folder.mkdir(parents=True)
    (folder / "incoming.part").write_bytes(b"x" * 1000)
    digest = list_files(open_folder(root, Findings())).digest
    told = {"name": "job", "digest": digest, "sha256": package.sha256, "total_bytes": package.size}
    (folder / "incoming.json").write_text(json.dumps(told))
    async with deployed(root, kits, site, tmp_path) as client:
        await client.fetch(plugins)
    assert client.server.offsets == [1000, 0]


@pytest.mark.parametrize(
    "told",
    [
        {"name": "job", "digest": "0" * 64, "sha256": "0" * 64, "total_bytes": "x"},
        {"name": "job", "digest": "0" * 64, "sha256": None, "total_bytes": 5},
        {"name": "job", "digest": "0" * 64, "sha256": "0" * 64, "total_bytes": True},
        {"name": "job"},
        [1],
    ],
)
def test_a_kept_announcement_of_another_shape_is_no_announcement(told: Any, tmp_path: Path) -> None:
    (tmp_path / "incoming.part").write_bytes(b"x")
    (tmp_path / "incoming.json").write_text(json.dumps(told))
    package = IncomingPackage(tmp_path)
    package.close()
    assert (package.announced, package.offset) == (None, 0)


def header_with(**values: Any) -> Callable[[Any], Any]:
    def change(item: Any) -> Any:
        if isinstance(item, PackageHeader):
            for name, value in values.items():
                setattr(item, name, value)
        return item

    return change


LIES = {
    "another sha256": (header_with(sha256="0" * 64), "DIGEST"),
    "no sha256": (header_with(sha256=""), "PROTOCOL"),
    "no digest": (header_with(digest="x"), "PROTOCOL"),
    "a name that leads away": (header_with(name="../../evil"), "UNSAFE_PATH"),
    "no name": (header_with(name=""), "UNSAFE_PATH"),
    "another name": (header_with(name="other"), "MANIFEST_MISMATCH"),
    "less than comes": (header_with(total_bytes=10), "PROTOCOL"),
    "far too much": (header_with(total_bytes=1 << 62), "TOO_LARGE"),
    "another beginning": (header_with(offset=5), "PROTOCOL"),
    "no header": (lambda item: b"x" if isinstance(item, PackageHeader) else item, "PROTOCOL"),
    "a second header": (
        lambda item: item if isinstance(item, PackageHeader) else PackageHeader(),
        "PROTOCOL",
    ),
}


@pytest.mark.parametrize(("change", "reason"), LIES.values(), ids=LIES.keys())
async def test_a_server_that_lies_is_found_out(
    change: Callable[[Any], Any],
    reason: str,
    root: Path,
    kits: Kits,
    site: StartupKit,
    plugins: LoadedPlugins,
    tmp_path: Path,
) -> None:
    async with deployed(root, kits, site, tmp_path) as client:
        client.server.change = change
        assert await client.refusal(plugins) == reason
        assert client.audited() == [("mmar.run", "refused", reason)]
        client.server.change = lambda item: item
        await client.fetch(plugins)  # the same call, honest


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
