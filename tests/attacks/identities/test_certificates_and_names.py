# SPDX-License-Identifier: Apache-2.0
"""Certificates, names and roles that are not what they should be."""

from __future__ import annotations

import ssl
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from mmar_runner.errors import CertificateError, UnreachableError
from mmar_runner.security.identity import Identity, Role
from mmar_runner.security.pki.issuing import issue
from mmar_runner.security.pki.tls_probe import look
from mmar_runner.wire.credentials import TlsFiles
from mmar_runner.wire.messages import DeclineRequest, GetPackageRequest
from mmar_runner.wire.stub import DiscoveryStub
from tests.attacks.identities.strikes import SECOND, struck, welcomed

FAR = timedelta(hours=1)


def came(arena: Any) -> int:
    """Count who came or was refused: somebody before may still be leaving."""
    return sum(line["action"] != "leave" for line in arena.evidence.audit())


def probed(arena: Any, tls: TlsFiles) -> Any:
    host, _, port = arena.address.rpartition(":")
    try:
        look(
            host,
            int(port),
            root_pem=tls.root.read_bytes(),
            cert_file=tls.cert,
            key_file=tls.key,
            expected_name=host,
            now=datetime.now(UTC),
        )
    except CertificateError as error:
        return error
    return None


def nobody(arena: Any, forge: Any) -> TlsFiles | None:
    return None


def own_authority(arena: Any, forge: Any) -> TlsFiles:
    return arena.project.forge(forge.uri("site-1"), issuer=arena.project.other_authority())


def self_signed_with_the_right_names(arena: Any, forge: Any) -> TlsFiles:
    """What an authority of the same name, and a chain with the true root, come to."""
    other = arena.project.other_authority()
    return arena.project.forge(forge.uri("site-1"), issuer=other, chain=1)


def expired(arena: Any, forge: Any) -> TlsFiles:
    return arena.project.forge(forge.uri("site-1"), life=-SECOND)


def a_site_that_issues(arena: Any, forge: Any) -> TlsFiles:
    """A site's own key signs a certificate: no site is an authority."""
    site = arena.project.tls("evil-a")
    from mmar_runner.security.pki.issuing import Issuer
    from mmar_runner.security.pki.keys import load_tls_key

    issuer = Issuer(load_tls_key(site.key), site.cert.read_bytes())
    return arena.project.forge(forge.uri("site-1"), issuer=issuer, chain=1)


@pytest.mark.parametrize(
    ("stranger", "said"),
    [
        (nobody, None),
        (own_authority, {"CERT_REFUSED"}),
        (self_signed_with_the_right_names, {"CERT_REFUSED"}),
        (expired, {"CERT_EXPIRED"}),
        (a_site_that_issues, {"CERT_REFUSED"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a01_a02_what_tls_refuses_gets_no_answer_and_leaves_no_line(
    arena: Any, forge: Any, stranger: Any, said: set[str] | None
) -> None:
    """Nobody was proven to be there, so no line names anybody; the probe says why."""
    tls, before, lines = stranger(arena, forge), arena.evidence.state(), came(arena)
    with pytest.raises(UnreachableError):
        arena.strike(lambda a: a.register(), tls)
    assert arena.evidence.state() == before
    assert came(arena) == lines
    if said is not None:
        assert probed(arena, tls).reason in said
    welcomed(arena)
    assert probed(arena, arena.project.tls("witness")) is None


def test_a01_tls_before_1_2_is_refused(arena: Any) -> None:
    tls = arena.project.tls("evil-a")
    context = ssl.create_default_context(cafile=tls.root)
    context.load_cert_chain(tls.cert, tls.key)
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    host, _, port = arena.address.rpartition(":")
    import socket

    with (
        socket.create_connection((host, int(port)), timeout=5) as connection,
        pytest.raises((ssl.SSLError, OSError)),
    ):
        context.wrap_socket(connection, server_hostname="localhost")


def say(*uris: str, **options: Any) -> Any:
    return lambda arena: arena.project.forge(*uris, **options)


def of(role: str, name: str, project: str = "demo") -> str:
    return f"spiffe://{project}/{role}/{name}"


STRANGE = {
    "two_identities": say(of("client", "site-1"), of("client", "site-2")),
    "no_identity": say(names=(x509.DNSName("site-1"),)),
    "nothing_but_a_common_name": say(),
    "another_scheme": say("https://demo/client/site-1"),
    "role_in_capitals": say(of("CLIENT", "site-1")),
    "unknown_role": say(of("root", "site-1")),
    "percent_encoded_letter": say(of("client", "%73ite-1")),
    "percent_encoded_slash_role": say(of("client%2Fsite-1", "x")),
    "encoded_nul": say("spiffe://demo/client/site-1\x00.evil"),
    "trailing_slash": say(of("client", "site-1/")),
    "no_name": say(of("client", "")),
    "no_project": say(of("client", "site-1", "")),
    "query": say(of("client", "site-1?role=admin")),
    "fragment": say(of("client", "site-1#x")),
    "port": say(of("client", "site-1", "demo:443")),
    "user": say(of("client", "site-1", "root@demo")),
    "more_path": say(of("client", "site-2/../site-1")),
}


@pytest.mark.parametrize("name", STRANGE)
def test_a05_a_certificate_that_names_nobody_is_refused(arena: Any, name: str) -> None:
    """The authority never makes such; were it tricked, nobody becomes site-1 by it."""
    tls = STRANGE[name](arena)
    assert struck(arena, tls).reason == "CERT_INVALID"
    (line, *more) = arena.evidence.lines("", "CERT_INVALID")
    assert line["action"] == "Register"
    assert not more  # those of one minute share a line
    arena.evidence.refusals["", "CERT_INVALID"] += 1
    welcomed(arena)


def test_a05_a_certificate_of_another_project_is_refused(arena: Any, forge: Any) -> None:
    for other in ("other", "Demo", "demo.evil"):
        tls = arena.project.forge(forge.uri(f"guest-{other}", project=other))
        assert struck(arena, tls).reason == "CERT_PROJECT"
        arena.evidence.one_line(f"client guest-{other}", "CERT_PROJECT")
    welcomed(arena)


def test_a05_a_site_that_the_policy_does_not_know_is_refused(arena: Any, forge: Any) -> None:
    for name in ("site-9", "SITE-1", "evil-a_1"):
        tls = arena.project.forge(forge.uri(name))
        assert struck(arena, tls, name=name).reason == "SITE_UNKNOWN"
        arena.evidence.one_line(f"client {name}", "SITE_UNKNOWN")


def test_a05_names_in_a_certificate_cannot_write_to_the_log(arena: Any, forge: Any) -> None:
    name = "%1B%5B2Jsite-1%0A"
    tls = arena.project.forge(forge.uri(name))
    assert struck(arena, tls).reason == "NAME_MISMATCH"
    path = arena.server.workspace / "audit.jsonl"
    line = arena.evidence.one_line("client \\x1b[2Jsite-1\\n", "NAME_MISMATCH")
    assert line["action"] == "Register"
    assert b"\x1b" not in path.read_bytes()
    assert "\x1b" not in arena.server.stdout + arena.server.stderr


def test_a01_a_chain_without_end_is_refused(arena: Any, forge: Any) -> None:
    endless = arena.project.forge(forge.uri("s" * 60_000))
    for tls in (arena.project.forge(forge.uri("site-1"), chain=2000), endless):
        with pytest.raises(UnreachableError):
            arena.strike(lambda a: a.register(), tls)
    welcomed(arena)


NAMES = [
    "site-2",
    "SITE-1",
    "site-1",
    "evil-a ",
    " evil-a",
    "Evil-a",
    "evil-a_",
    "evil-a_0",
    "evil-a_01",
    "evil-a_-1",
    "evil-a_1_1",
    "evil-a_\u0661",
    "evil-a_1\n",
    "evil-a/../site-1",
    "%65vil-a",
    "evil-a\x00",
    "\x1b[31mevil-a",
    "../x",
    "",
    "x" * 1_000_000,
    "evil-a_" + "9" * 100_000,
]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:20]))
def test_a05_a_name_that_is_not_the_certificates_is_refused(arena: Any, name: str) -> None:
    play = lambda a: a.register(client_name=name)  # noqa: E731
    reason = arena.refusal(play, owner="evil-a")
    # A number may be any, but not a name of any length.
    endless = {"NAME_INVALID", "TOO_MANY_INSTANCES"}
    assert reason in (endless if name.startswith("evil-a_999") else {"NAME_MISMATCH"})
    line = arena.evidence.lines("client evil-a", reason)[0]
    assert line["action"] == "Register"
    assert line["data"]["message"].isprintable()


def test_a05_a_name_of_10_mb_is_refused_before_it_is_sent(arena: Any) -> None:
    assert arena.refusal(lambda a: a.register(client_name="x" * 10_000_000)) == "OVERLOADED"


@pytest.mark.parametrize("method", ["Register", "Heartbeat", "GetPackage", "Decline", "GetModel"])
def test_role_an_administrator_is_no_client(arena: Any, forge: Any, method: str) -> None:
    async def play(player: Any) -> None:
        desk = DiscoveryStub(player.channel)
        match method:
            case "Register":
                await player.register()
            case "Heartbeat":
                await player.heartbeat("")
            case "GetPackage":
                await anext(desk.get_package(GetPackageRequest()))
            case "Decline":
                await desk.decline(DeclineRequest(digest="0" * 64, reason="X"), timeout=5)
            case _:
                await player.download()

    error = struck(arena, arena.project.tls(forge.LEAD), play, name=forge.LEAD)
    assert error.reason == "ROLE"
    who = f"admin {forge.LEAD}"
    arena.evidence.refusals[who, "ROLE"] += 1
    deadline = time.monotonic() + 5
    while method not in [line["action"] for line in arena.evidence.lines(who, "ROLE")]:
        assert time.monotonic() < deadline


def test_role_a_server_is_no_client(arena: Any) -> None:
    """TLS lets it call: it may ask whether it works itself, and nothing else."""
    assert struck(arena, arena.project.tls("localhost")).reason == "ROLE"
    arena.evidence.one_line("server localhost", "ROLE")


def test_role_what_no_role_may_call_does_not_exist(arena: Any) -> None:
    """Services of the transport, and of administration, are not there to be asked."""

    async def play(player: Any) -> None:
        for path in (
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            "/grpc.health.v1.Health/List",
            "/mmar_runner.v1.FederatedTraining/Shutdown",
            "/mmar_runner.v1.Admin/Submit",
        ):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await player.channel.unary_unary(path)(b"", timeout=5)
            assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED

    arena.strike(play, arena.project.tls("evil-a"))


def test_a01_a_servers_certificate_must_be_a_servers(arena: Any, forge: Any) -> None:
    """A site poses as the server: whoever calls it sees that it is none."""
    from mmar_runner.security.pki.certificates import read_peer_certificate

    site = arena.project.tls("evil-a")
    certificate = x509.load_pem_x509_certificate(site.cert.read_bytes())
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert not names.get_values_for_type(x509.DNSName)
    assert read_peer_certificate(site.cert.read_bytes()).identity.role is Role.CLIENT


def test_a05_the_authority_gives_no_host_names_to_sites(arena: Any) -> None:
    """Even if asked: names of hosts are the server's."""
    from mmar_runner.security.pki.keys import new_tls_key

    now = datetime.now(UTC)
    who = Identity("demo", Role.CLIENT, "site-1")
    pem = issue(arena.project.issuer, who, new_tls_key().public_key(), (now, now + FAR), ["x.org"])
    names = (
        x509.load_pem_x509_certificate(pem)
        .extensions.get_extension_for_class(x509.SubjectAlternativeName)
        .value
    )
    assert not names.get_values_for_type(x509.DNSName)
