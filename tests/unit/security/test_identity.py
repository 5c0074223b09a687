# SPDX-License-Identifier: Apache-2.0
"""An identity has one way to be written, and nothing else is read as one."""

from __future__ import annotations

import pytest

from mmar_runner.errors import CertificateError
from mmar_runner.security.identity import Identity, Role


@pytest.mark.parametrize(
    ("identity", "uri"),
    [
        (Identity("trial", Role.CLIENT, "site-1"), "spiffe://trial/client/site-1"),
        (Identity("trial", Role.SERVER, "fl.example.org"), "spiffe://trial/server/fl.example.org"),
        (Identity("trial", Role.ADMIN, "ann@a.org"), "spiffe://trial/admin/ann@a.org"),
        (Identity("a/b", Role.CLIENT, "c/d e"), "spiffe://a%2Fb/client/c%2Fd%20e"),
    ],
)
def test_an_identity_is_its_uri(identity, uri):
    assert identity.uri == uri
    assert Identity.from_uri(uri) == identity


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "spiffe://trial",
        "spiffe://trial/client",
        "spiffe://trial/client/",
        "spiffe:///client/site-1",
        "spiffe://trial/nurse/site-1",
        "spiffe://trial/client/site-1/more",
        "spiffe://trial//client/site-1",
        "spiffe://trial/client/site%2D1",
        "spiffe://trial/client/site-1?a=b",
        "spiffe://trial/client/site-1#a",
        "SPIFFE://trial/client/site-1",
        "https://trial/client/site-1",
        "spiffe://[trial/client/site-1",
    ],
)
def test_whatever_is_written_otherwise_names_nobody(uri):
    with pytest.raises(CertificateError, match="names no participant") as caught:
        Identity.from_uri(uri)
    assert caught.value.reason == "CERT_INVALID"
