# SPDX-License-Identifier: Apache-2.0
"""The probe against real handshakes on loopback."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest

from mmar_runner.errors import CertificateError
from mmar_runner.security.identity import Identity, Role
from mmar_runner.security.pki.certificates import certificate_fingerprint
from mmar_runner.security.pki.issuing import Issuer, issue, make_root
from mmar_runner.security.pki.keys import new_tls_key, save_private_key
from mmar_runner.security.pki.tls_probe import look, speaks_tls

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
GOOD = (NOW - DAY, NOW + DAY)
OVER = (NOW - 2 * DAY, NOW - DAY)
LATER = (NOW + DAY, NOW + 2 * DAY)


class Authority:
    def __init__(self, folder, name="project"):
        folder.mkdir()
        self.folder = folder
        key = new_tls_key()
        self.root = make_root(key, name, NOW - 3 * DAY, 10 * DAY)
        (folder / "rootCA.pem").write_bytes(self.root)
        self.issuer = Issuer(key, self.root)

    def participant(self, role, name="localhost", period=GOOD, hosts=("localhost",)):
        folder = self.folder / f"{role}-{len(list(self.folder.iterdir()))}"
        folder.mkdir()
        key = new_tls_key()
        save_private_key(folder / "key.pem", key)
        identity = Identity("project", role, name)
        pem = issue(self.issuer, identity, key.public_key(), period, hosts)
        (folder / "cert.pem").write_bytes(pem)
        return folder


@pytest.fixture
def ours(tmp_path):
    return Authority(tmp_path / "ours")


@pytest.fixture
def theirs(tmp_path):
    return Authority(tmp_path / "theirs", "stranger")


@contextmanager
def listening(answer):
    """Answer every connection on a port of loopback with a function."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(30)

    def serve():
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer:
                peer.settimeout(10)
                answer(peer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def tls_server(folder, root, greeting=b"x"):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    context.load_verify_locations(cadata=root.decode())
    context.verify_mode = ssl.CERT_REQUIRED

    def answer(peer):
        try:
            with context.wrap_socket(peer, server_side=True) as secure:
                secure.sendall(greeting)
        except OSError:
            return

    return listening(answer)


def ask(port, authority, client, **changes):
    facts = {
        "root_pem": authority.root,
        "cert_file": client / "cert.pem",
        "key_file": client / "key.pem",
        "expected_name": "localhost",
        "now": NOW,
        **changes,
    }
    try:
        look("127.0.0.1", port, **facts)
    except CertificateError as error:
        return error
    return None


def test_a_handshake_that_succeeds_has_no_trouble(ours):
    server, client = ours.participant(Role.SERVER), ours.participant(Role.CLIENT, "site-1")
    with tls_server(server, ours.root) as port:
        assert ask(port, ours, client) is None
        assert ask(port, ours, client, expected_name="127.0.0.1") is None


@pytest.mark.parametrize(
    ("period", "reason"),
    [(OVER, "CERT_EXPIRED"), (LATER, "CERT_NOT_YET_VALID")],
    ids=["expired", "not-yet"],
)
@pytest.mark.parametrize("whose", [Role.SERVER, Role.CLIENT], ids=["theirs", "ours"])
def test_a_date_that_does_not_hold_is_named(ours, whose, period, reason):
    periods = {Role.SERVER: GOOD, Role.CLIENT: GOOD, whose: period}
    server = ours.participant(Role.SERVER, period=periods[Role.SERVER])
    client = ours.participant(Role.CLIENT, "site-1", period=periods[Role.CLIENT])
    with tls_server(server, ours.root) as port:
        trouble = ask(port, ours, client)
    assert trouble.reason == reason
    date = period[1] if reason == "CERT_EXPIRED" else period[0]
    assert f"{date:%Y-%m-%d}" in trouble.message
    assert "clock" in trouble.message
    about = str(client) if whose is Role.CLIENT else f"127.0.0.1:{port}"
    assert about in trouble.message


def test_an_own_certificate_that_is_expired_for_them_alone_is_expired(ours):
    server = ours.participant(Role.SERVER)
    client = ours.participant(Role.CLIENT, "site-1", period=OVER)
    with tls_server(server, ours.root) as port:
        trouble = ask(port, ours, client, now=OVER[0] + DAY / 2)
    assert trouble.reason == "CERT_EXPIRED"
    assert f"127.0.0.1:{port} refused our certificate" in trouble.message


def test_a_server_of_another_authority_is_told_with_both_fingerprints(ours, theirs):
    server, client = theirs.participant(Role.SERVER), ours.participant(Role.CLIENT, "site-1")
    with tls_server(server, ours.root) as port:
        trouble = ask(port, ours, client)
    assert trouble.reason == "CERT_AUTHORITY"
    assert certificate_fingerprint((server / "cert.pem").read_bytes()) in trouble.message
    assert certificate_fingerprint(ours.root) in trouble.message


def test_a_server_called_by_another_name_is_told_with_its_names(ours):
    server = ours.participant(Role.SERVER, "fl.example.org", hosts=("fl.example.org", "10.0.0.7"))
    client = ours.participant(Role.CLIENT, "site-1")
    with tls_server(server, ours.root) as port:
        trouble = ask(port, ours, client)
    assert trouble.reason == "CERT_HOST"
    assert "'localhost'" in trouble.message
    assert "fl.example.org, 10.0.0.7" in trouble.message


def test_a_server_that_refuses_our_certificate_says_so(ours, theirs):
    server, client = ours.participant(Role.SERVER), theirs.participant(Role.CLIENT, "site-1")
    with tls_server(server, ours.root) as port:
        trouble = ask(port, ours, client)
    assert trouble.reason == "CERT_REFUSED"
    assert "unknown ca" in trouble.message


def test_a_client_that_listens_as_a_server_is_none(ours):
    impostor, client = ours.participant(Role.CLIENT, "site-2"), ours.participant(Role.CLIENT, "c")
    with tls_server(impostor, ours.root) as port:
        trouble = ask(port, ours, client)
    assert trouble.reason in {"CERT_HOST", "CERT_INVALID"}


@pytest.mark.parametrize(
    "greeting",
    [
        b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18),
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=["http2", "http1", "a-client"],
)
def test_a_peer_that_speaks_plain_text_is_recognised(ours, greeting):
    def answer(peer):
        peer.sendall(greeting)
        peer.recv(4096)

    client = ours.participant(Role.CLIENT, "site-1")
    with listening(answer) as port:
        assert ask(port, ours, client).reason == "NOT_TLS"
        assert not speaks_tls("127.0.0.1", port)


def test_a_server_that_wants_a_certificate_is_seen_to_speak_tls(ours, theirs):
    with tls_server(theirs.participant(Role.SERVER, period=OVER), ours.root) as port:
        assert speaks_tls("127.0.0.1", port)
    assert not speaks_tls("127.0.0.1", port)


def test_a_peer_that_goes_away_says_nothing_about_tls(ours):
    client = ours.participant(Role.CLIENT, "site-1")
    with listening(lambda peer: peer.recv(1)) as port:
        assert ask(port, ours, client) is None
    assert ask(port, ours, client) is None


def test_a_certificate_without_its_key_is_told(ours):
    server, client = ours.participant(Role.SERVER), ours.participant(Role.CLIENT, "site-1")
    other = ours.participant(Role.CLIENT, "site-2")
    with tls_server(server, ours.root) as port:
        trouble = ask(port, ours, client, key_file=other / "key.pem")
    assert trouble.reason == "TLS_FILES"


def test_a_server_that_ends_every_connection_after_the_handshake_refuses_ours(ours):
    server, client = ours.participant(Role.SERVER), ours.participant(Role.CLIENT, "site-1")
    with tls_server(server, ours.root, greeting=b"") as port:
        trouble = ask(port, ours, client)
    assert trouble.reason == "CERT_REFUSED"
    assert "ends the connection as soon as it has seen it" in trouble.message


def test_an_own_certificate_that_is_not_there_is_told(ours, tmp_path):
    client, missing = ours.participant(Role.CLIENT, "site-1"), tmp_path / "none.pem"
    trouble = ask(1, ours, client, cert_file=missing)
    assert (trouble.reason, trouble.message) == (
        "TLS_FILES",
        f"{missing}: No such file or directory",
    )


@pytest.mark.parametrize("handshakes", [1, 9], ids=["gone-when-asked-again", "shown"])
def test_what_only_openssl_holds_against_a_certificate_is_told_in_its_words(ours, handshakes):
    """It knows the machine's clock alone; by the time that is given, all of it holds."""
    server = ours.participant(Role.SERVER, period=OVER)
    client = ours.participant(Role.CLIENT, "site-1", period=OVER)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server / "cert.pem", server / "key.pem")
    left = [None] * handshakes

    def answer(peer):
        if left:
            left.pop()
            with suppress(OSError), context.wrap_socket(peer, server_side=True) as secure:
                secure.recv(1)

    with listening(answer) as port:
        trouble = ask(port, ours, client, now=OVER[0] + DAY / 2)
    assert trouble.reason == "CERT_INVALID"
    says = f"the certificate of 127.0.0.1:{port} does not hold: certificate has expired"
    assert trouble.message == says
