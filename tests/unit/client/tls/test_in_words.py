# SPDX-License-Identifier: Apache-2.0
"""Why TLS does not come about, said in words to whoever runs a client."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from mmar_runner.errors import CertificateError, UnreachableError
from mmar_runner.interfaces.observer import Topic
from mmar_runner.security.identity import Role
from tests.served import served
from tests.unit.client.tls.authorities import DAY, Authority


@pytest.mark.parametrize(
    ("hosts", "end", "reason"),
    [
        (("fl.example.org",), DAY, "CERT_HOST"),
        (("localhost",), -DAY, "CERT_EXPIRED"),
    ],
    ids=["name", "date"],
)
async def test_a_server_that_cannot_be_the_right_one_ends_the_session_in_words(
    serving_tls, session, recorder, authority, hosts, end, reason
):
    files = authority.files(Role.SERVER, "server", hosts=hosts, end=end)
    async with serving_tls(files) as address:
        begun = time.monotonic()
        with pytest.raises(CertificateError) as caught:
            await session(address)
    assert caught.value.reason == reason
    assert time.monotonic() - begun < 20
    assert recorder.all(Topic.UNREACHABLE) == []
    if reason == "CERT_EXPIRED":
        assert "tell whoever runs the server" in caught.value.hint


async def test_a_name_that_nobody_knows_is_said_to_be_one(session, recorder):
    with pytest.raises(UnreachableError, match="cannot find the name fl"):
        await session("fl.hospital.invalid:8002", connect_timeout=1.5)
    told = recorder.all(Topic.UNREACHABLE)[0].data
    assert told["message"] == "this machine cannot find the name fl.hospital.invalid"
    assert "/etc/hosts" in told["hint"]


async def test_a_server_of_another_authority_ends_the_session_in_words(
    tmp_path, serving_tls, session
):
    files = Authority(tmp_path / "theirs").files(Role.SERVER, "localhost")
    async with serving_tls(files) as address:
        with pytest.raises(CertificateError) as caught:
            await session(address)
    assert caught.value.reason == "CERT_AUTHORITY"


async def test_an_own_certificate_of_another_authority_is_refused_in_words(
    tmp_path, serving_tls, session, authority
):
    stranger = Authority(tmp_path / "theirs").files(Role.CLIENT, "site-1")
    tls = replace(stranger, root=authority.folder / "rootCA.pem")
    async with serving_tls() as address:
        with pytest.raises(CertificateError) as caught:
            await session(address, tls=tls)
    assert caught.value.reason == "CERT_REFUSED"


async def test_a_server_without_tls_ends_the_session_in_words(server, session):
    async with served(server, at="localhost:0") as address:
        with pytest.raises(CertificateError) as caught:
            await session(address)
    assert caught.value.reason == "NOT_TLS"


async def test_plain_text_to_a_server_with_tls_ends_the_session_in_words(serving_tls, session):
    """It was said not to answer, and its address was doubted."""
    async with serving_tls() as address:
        with pytest.raises(CertificateError, match="speaks TLS, and this client plain") as caught:
            await session(address, tls=None)
    assert caught.value.reason == "TLS_NEEDED"
    assert "--kit" in caught.value.hint


async def test_certificate_and_key_that_are_no_pair_end_the_session_at_once(
    session, authority, client_files
):
    other = authority.files(Role.CLIENT, "site-2")
    with pytest.raises(CertificateError) as caught:
        await session("localhost:1", tls=replace(client_files, key=other.key))
    assert caught.value.reason == "TLS_FILES"
