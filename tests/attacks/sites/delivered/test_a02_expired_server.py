# SPDX-License-Identifier: Apache-2.0
"""A02: a server whose certificate has expired is named, and its site does not call for ever."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mmar_runner.security.pki.certificates import read_peer_certificate
from mmar_runner.security.pki.issuing import Issuer, issue
from mmar_runner.security.pki.keys import load_tls_key

DAY = timedelta(days=1)


@pytest.fixture
def expired(hospital):
    """Let the server's certificate have expired yesterday, before anybody serves with it."""
    authority = hospital.kits.out / "authority"
    issuer = Issuer(load_tls_key(authority / "root.key"), (authority / "rootCA.pem").read_bytes())
    path = hospital.server / "server.crt"
    key = load_tls_key(hospital.server / "server.key").public_key()
    who = read_peer_certificate(path.read_bytes()).identity
    now = datetime.now(UTC)
    path.write_bytes(issue(issuer, who, key, (now - 3 * DAY, now - DAY), ["localhost"]))


def test_a02_a_server_whose_certificate_has_expired_is_named(hospital, expired, stolen):
    ended = hospital.run_client("site-1", None, stolen.address)
    assert (ended.code, ended.error["reason"]) == (1, "CERT_EXPIRED"), ended.out
    assert str(datetime.now(UTC).year) in ended.error["message"]
    assert not stolen.lies.updates


def test_a02_the_same_server_with_a_certificate_that_holds_is_worked_with(hospital, delivered):
    delivered.sent(hospital.mmar())
    delivered.works()
