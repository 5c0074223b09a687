# SPDX-License-Identifier: Apache-2.0
"""What is looked at of a package and of a server, replaced: then the attack goes through."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from mmar_runner.client.connection.line import Line
from mmar_runner.client.trust import ClientTrust
from mmar_runner.errors import PackageError, UnreachableError
from mmar_runner.security.identity import Role
from mmar_runner.security.kits.kit import load_kit
from mmar_runner.security.packages import tar as tars
from mmar_runner.security.packages import zip as zips
from mmar_runner.security.packages.packing import unpack
from mmar_runner.wire.credentials import TlsFiles, server_credentials
from mmar_runner.wire.messages import RegisterReply, RegisterRequest
from mmar_runner.wire.servicer import FederationServicer
from tests.open_gate import OpenGate
from tests.served import served


def zipped(archive, mode):
    entry = zipfile.ZipInfo("tool")
    entry.create_system, entry.external_attr = 3, mode << 16
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(entry, "#!/bin/sh")


def tarred(archive, mode):
    entry = tarfile.TarInfo("tool")
    entry.mode, entry.size = mode, 9
    with tarfile.open(archive, "w:gz") as file:
        file.addfile(entry, io.BytesIO(b"#!/bin/sh"))


LINK, RUNS_AS_OWNER = stat.S_IFLNK | 0o777, stat.S_ISUID | 0o755


@pytest.mark.parametrize(
    ("pack", "module", "mode"),
    [(zipped, zips, LINK), (zipped, zips, RUNS_AS_OWNER), (tarred, tars, RUNS_AS_OWNER)],
)
def test_d01_the_kind_of_an_entry(tmp_path, monkeypatch, pack, module, mode):
    archive, target = tmp_path / "package", tmp_path / "out"
    pack(archive, mode)
    with pytest.raises(PackageError) as caught:
        unpack(archive, target)
    assert caught.value.reason == "UNSAFE_ENTRY"
    assert not target.exists()
    monkeypatch.setattr(module, "require_plain", lambda name, mode: None)
    unpack(archive, target)
    assert (target / "tool").read_bytes() == b"#!/bin/sh"


class Thief(FederationServicer):
    """Has the server's key, and hears who calls."""

    def __init__(self):
        self.heard = []

    async def register(self, request, peer):
        self.heard.append(request.client_name)
        return RegisterReply()

    async def heartbeat(self, request, peer):
        raise AssertionError

    quit = send_result = submit_update = heartbeat

    def get_model(self, request, peer):
        raise AssertionError


class Credulous(ClientTrust):
    """Believes every server that the authority once gave a certificate."""

    def judge_server(self, certificate):
        """Look at nothing."""


@pytest.fixture
async def stolen(hospital):
    """A server with the key and the certificate of the real one."""
    own = load_kit(hospital.server, Role.SERVER, now=datetime.now(UTC))
    thief, files = Thief(), TlsFiles(own.cert_file, own.key_file, own.root_file)
    async with served(thief, OpenGate(), credentials=server_credentials(files)) as address:
        thief.target = f"localhost:{address.rpartition(':')[2]}"
        thief.serial = own.certificate.serial
        yield thief


async def test_e08_the_judgement_of_a_server(hospital, stolen):
    """The server's certificate is revoked, as site-1 knows; only who does not ask calls it."""
    own = load_kit(hospital.kit("site-1"), Role.CLIENT, now=datetime.now(UTC))
    revoked = SimpleNamespace(revokes_certificate=lambda serial: serial == stolen.serial)

    async def call(kind):
        trust = kind(own, SimpleNamespace(current=revoked), None, stolen.target)
        line = Line(stolen.target, trust.tls, trust.judge_server)
        try:
            await line.identify()
            await line.stub.register(RegisterRequest(client_name="site-1"), timeout=10)
        finally:
            await line.close()

    with pytest.raises(UnreachableError, match="was revoked"):
        await call(ClientTrust)
    assert stolen.heard == []
    await call(Credulous)
    assert stolen.heard == ["site-1"]
