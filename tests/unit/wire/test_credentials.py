# SPDX-License-Identifier: Apache-2.0
"""TLS credentials follow their files, and keep what works."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import socket
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import grpc
import pytest

from mmar_runner.errors import CertificateError
from mmar_runner.security.identity import Identity, Role
from mmar_runner.security.pki.issuing import Issuer, issue, make_root
from mmar_runner.security.pki.keys import new_tls_key, save_private_key
from mmar_runner.wire.credentials import (
    TlsFiles,
    channel_credentials,
    read_material,
    server_credentials,
)
from mmar_runner.wire.tls_files import FollowedIdentity

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


class Issued:
    def __init__(self, folder):
        self.folder = folder
        key = new_tls_key()
        root = make_root(key, "project", NOW - DAY, 3 * DAY)
        (folder / "rootCA.pem").write_bytes(root)
        self.issuer = Issuer(key, root)

    def files(self, role=Role.SERVER, *, only_certificate=False, end=DAY):
        files = TlsFiles(
            self.folder / f"{role}.crt", self.folder / f"{role}.key", self.folder / "rootCA.pem"
        )
        key, fresh = new_tls_key(), self.folder / "fresh"
        identity = Identity("project", role, "localhost")
        period = (NOW - DAY, NOW + end)
        fresh.write_bytes(issue(self.issuer, identity, key.public_key(), period, ["localhost"]))
        fresh.replace(files.cert)
        if not only_certificate:
            save_private_key(fresh, key)
            fresh.replace(files.key)
        return files


@pytest.fixture
def issued(tmp_path):
    return Issued(tmp_path)


def said(caplog):
    """Return what was logged as a warning, and forget it."""
    found = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    caplog.clear()
    return found


def missing(path):
    path.rename(path.with_suffix(".away"))


def garbage(path):
    path.write_bytes(b"no PEM")


def empty(path):
    path.write_bytes(b"")


def cut(path):
    path.write_bytes(path.read_bytes()[:100])


def shown(port, client):
    """Return the certificate that a server shows, PEM."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(client.root)
    context.load_cert_chain(client.cert, client.key)
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("localhost", port), 10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        assert secure.version() == "TLSv1.3"
        return ssl.DER_cert_to_PEM_cert(secure.getpeercert(binary_form=True)).encode()


async def test_a_server_shows_a_renewed_certificate_and_keeps_the_old_one_otherwise(issued, caplog):
    caplog.set_level(logging.INFO)
    client, files = issued.files(Role.CLIENT), issued.files()
    first = files.cert.read_bytes()
    server = grpc.aio.server()
    port = server.add_secure_port("localhost:0", server_credentials(files))
    await server.start()
    assert await asyncio.to_thread(shown, port, client) == first

    issued.files(only_certificate=True)
    for _ in range(2):
        assert await asyncio.to_thread(shown, port, client) == first
    told = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert len(told) == 1
    assert "stays" in told[0].getMessage()

    issued.files()
    assert await asyncio.to_thread(shown, port, client) == files.cert.read_bytes() != first

    files.cert.rename(files.cert.with_suffix(".away"))
    assert await asyncio.to_thread(shown, port, client) != first
    await server.stop(0)


def test_key_and_certificate_of_different_kits_are_refused(issued):
    server, client = issued.files(), issued.files(Role.CLIENT)
    for make in (read_material, channel_credentials, server_credentials):
        with pytest.raises(CertificateError, match="pair") as caught:
            make(replace(server, key=client.key))
        assert caught.value.reason == "TLS_FILES"


@pytest.mark.parametrize("part", ["cert", "key", "root"])
def test_a_file_that_is_missing_is_named(issued, part):
    files = issued.files()
    missing = issued.folder / "nowhere.pem"
    with pytest.raises(CertificateError, match="nowhere") as caught:
        channel_credentials(replace(files, **{part: missing}))
    assert caught.value.reason == "TLS_FILES"


def test_a_new_file_of_the_same_size_has_another_stamp(issued):
    files = issued.files()
    before = files.stamp()
    copy = files.cert.with_suffix(".copy")
    copy.write_bytes(files.cert.read_bytes())
    os.utime(copy, ns=(files.cert.stat().st_atime_ns, files.cert.stat().st_mtime_ns))
    copy.replace(files.cert)
    assert files.stamp() != before


def test_a_file_replaced_with_the_same_date_and_size_in_the_same_place_has_another_stamp(issued):
    files = issued.files()
    before, dates = files.stamp(), files.cert.stat()
    files.cert.write_bytes(files.cert.read_bytes()[::-1])
    os.utime(files.cert, ns=(dates.st_atime_ns, dates.st_mtime_ns))
    assert files.stamp() != before


@pytest.mark.parametrize("part", ["cert", "key", "root"])
@pytest.mark.parametrize("harm", [missing, garbage, empty, cut])
def test_harm_is_told_once_and_so_is_the_mend(issued, caplog, harm, part):
    files = issued.files()
    followed, path = FollowedIdentity(files), getattr(files, part)
    whole = path.read_bytes()
    assert followed.unusable_seconds == 0.0

    harm(path)
    assert [followed.changed() for _ in range(3)] == [None] * 3
    (told,) = said(caplog)
    assert "stays" in told
    assert followed.unusable_seconds > 0.0
    path.write_bytes(whole)
    assert [followed.changed() for _ in range(3)] == [None] * 3
    (told,) = said(caplog)
    assert "can be used again" in told
    assert followed.unusable_seconds == 0.0


def test_both_halves_of_a_renewal_are_taken_up_together(issued, caplog):
    files = issued.files()
    followed = FollowedIdentity(files)
    old_key = files.key.read_bytes()
    issued.files()
    new_key = files.key.read_bytes()
    files.key.write_bytes(old_key)
    assert followed.changed() is None
    files.key.write_bytes(new_key)
    found = followed.changed()
    assert found is not None
    assert (found.cert, found.key) == (files.cert.read_bytes(), new_key)
    assert followed.changed() is None
    assert len(said(caplog)) == 2


def test_renewed_files_that_could_not_be_read_are_taken_up_though_they_did_not_change(
    issued, caplog
):
    """A lack of file descriptors leaves no trace in a file's dates."""
    files = issued.files()
    followed = FollowedIdentity(files)
    issued.files()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        assert followed.changed() is None
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert "stays" in said(caplog)[0]
    found = followed.changed()
    assert found is not None
    assert found.cert == files.cert.read_bytes()


def test_files_that_were_only_touched_are_no_renewal(issued, caplog):
    files = issued.files()
    followed = FollowedIdentity(files)
    os.utime(files.cert)
    assert followed.changed() is None
    assert said(caplog) == []


async def test_a_server_whose_files_are_gone_says_so_once_and_once_that_they_are_back(
    issued, caplog
):
    client, files = issued.files(Role.CLIENT), issued.files()
    server = grpc.aio.server()
    port = server.add_secure_port("localhost:0", server_credentials(files))
    await server.start()
    missing(files.cert)
    for _ in range(3):
        await asyncio.to_thread(shown, port, client)
    assert len(said(caplog)) == 1
    files.cert.with_suffix(".away").rename(files.cert)
    for _ in range(3):
        await asyncio.to_thread(shown, port, client)
    assert len(said(caplog)) == 1
    await server.stop(0)


async def test_a_server_whose_certificate_expired_says_so_once_with_the_date(issued, caplog):
    client, files = issued.files(Role.CLIENT), issued.files(end=-timedelta(minutes=1))
    server = grpc.aio.server()
    port = server.add_secure_port("localhost:0", server_credentials(files))
    await server.start()
    for _ in range(2):
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.to_thread(shown, port, client)
    (told,) = said(caplog)
    assert str(files.cert) in told
    assert f"expired on {NOW - timedelta(minutes=1):%Y-%m-%d %H:%M}" in told
    assert "provision renew" in told
    issued.files()
    for _ in range(2):
        assert await asyncio.to_thread(shown, port, client) == files.cert.read_bytes()
    renewed, over = said(caplog)
    assert f"a new certificate is in force until {NOW + DAY:%Y-%m-%d %H:%M}" in renewed
    assert "clients can connect again" in over
    await server.stop(0)


def test_a_renewal_is_told_once_with_its_end(issued, caplog):
    files = issued.files()
    followed = FollowedIdentity(files)
    issued.files(end=DAY / 2)
    for _ in range(2):
        followed.changed()
    (told,) = said(caplog)
    assert f"a new certificate is in force until {NOW + DAY / 2:%Y-%m-%d %H:%M:%S} UTC" in told
    assert str(files.cert) in told


def test_a_private_key_is_not_shown_by_its_value(issued):
    assert "KEY" not in repr(read_material(issued.files()))
