# SPDX-License-Identifier: Apache-2.0
"""A01, A02: a client says in words which trouble with certificates it is, and ends."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mmar_runner.interfaces.observer import Topic
from mmar_runner.security.pki.certificates import read_peer_certificate
from mmar_runner.security.pki.issuing import Issuer, issue
from mmar_runner.security.pki.keys import load_tls_key

DAY = timedelta(days=1)


def issued(hospital, certificate: Path, begin: timedelta, end: timedelta) -> bytes:
    """Put a certificate of another period in place of a kit's; return the honest one."""
    authority = hospital.kits.out / "authority"
    issuer = Issuer(load_tls_key(authority / "root.key"), (authority / "rootCA.pem").read_bytes())
    honest = certificate.read_bytes()
    key = load_tls_key(certificate.with_suffix(".key")).public_key()
    now = datetime.now(UTC)
    who = read_peer_certificate(honest).identity
    certificate.write_bytes(issue(issuer, who, key, (now + begin, now + end), ["localhost"]))
    return honest


PERIODS = {
    "CERT_EXPIRED": (-3 * DAY, -DAY),
    "CERT_NOT_YET_VALID": (DAY, 3 * DAY),
}


@pytest.mark.parametrize("reason", PERIODS)
def test_a02_a_client_whose_certificate_does_not_hold_says_so_with_the_date(hospital, reason):
    mmar = hospital.mmar()
    certificate = hospital.kit("site-1") / "client.crt"
    honest = issued(hospital, certificate, *PERIODS[reason])
    begun = time.monotonic()
    ended = hospital.run_client("site-1", mmar)
    assert (ended.code, ended.error["reason"]) == (1, reason)
    assert str(datetime.now(UTC).year) in ended.error["message"]
    assert time.monotonic() - begun < 20
    certificate.write_bytes(honest)
    hospital.accepted("site-1", mmar)


def test_a01_a_site_of_another_project_is_told_that_the_authority_is_another(
    hospital, other_project
):
    """The same names, another authority: neither comes to talk to the other."""
    with hospital.start_server(hospital.mmar()) as server:
        address = server.address()
        ended = other_project.run_client("site-1", other_project.mmar(), address)
        assert (ended.code, ended.error["reason"]) == (1, "CERT_AUTHORITY")
        assert not server.observations(Topic.CLIENT_JOINED)
        with (
            hospital.client("site-1", address) as first,
            hospital.client("site-3", address) as second,
        ):
            assert [first.wait(), second.wait(), server.wait()] == [0, 0, 0]
    refused = [x for x in hospital.audited(server.workspace) if x["decision"] == "refused"]
    assert refused == []  # TLS let nobody in of whom there could be a line
