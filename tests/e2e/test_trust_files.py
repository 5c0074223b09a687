# SPDX-License-Identifier: Apache-2.0
"""Files of kits that break, are half renewed, or expire during a run, with real processes."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.errors import CertificateError
from mmar_runner.interfaces.observer import Topic
from mmar_runner.security.pki.certificates import read_peer_certificate
from mmar_runner.security.pki.issuing import issue
from mmar_runner.security.pki.keys import new_tls_key, save_private_key
from mmar_runner.security.pki.tls_probe import look
from mmar_runner.testing.processes import RunningProgram

SERVER_PARTS = ("server.crt", "server.key", "rootCA.pem")
CLIENT_PARTS = ("client.crt", "client.key", "rootCA.pem")


def said(program: RunningProgram, words: str) -> list[str]:
    """Return the messages of a program's log that hold these words."""
    lines = [line for line in program.stderr.splitlines() if line.startswith("{")]
    return [one for one in (json.loads(line)["message"] for line in lines) if words in one]


def wait_until_said(program: RunningProgram, words: str) -> None:
    program._until(lambda: said(program, words), f"nothing said of {words!r}", 20)


def shake_hands(federation: Any, address: str) -> Any:
    """Make a connection of our own; return what is wrong with it."""
    host, _, port = address.rpartition(":")
    kit = federation.kits.client("site-2")
    try:
        look(
            host,
            int(port),
            root_pem=federation.issuer.certificate,
            cert_file=kit / "client.crt",
            key_file=kit / "client.key",
            expected_name=host,
            now=datetime.now(UTC),
        )
    except CertificateError as error:
        return error
    return None


@contextlib.contextmanager
def gone(federation: Any, files: list[Path]) -> Iterator[None]:
    away = [file.with_name(f"{file.name}.away") for file in files]
    for file, other in zip(files, away, strict=True):
        file.rename(other)
    yield
    for file, other in reversed(list(zip(files, away, strict=True))):
        other.rename(file)


@contextlib.contextmanager
def garbage(federation: Any, files: list[Path]) -> Iterator[None]:
    whole = [file.read_bytes() for file in files]
    for file, data in zip(files, whole, strict=True):
        file.write_bytes(data[: len(data) // 3])
    yield
    for file, data in zip(files, whole, strict=True):
        file.write_bytes(data)


@contextlib.contextmanager
def half_renewed(federation: Any, files: list[Path]) -> Iterator[None]:
    """The new certificate lies there, its key not yet."""
    certificate, key, _ = files
    identity = read_peer_certificate(certificate.read_bytes()).identity
    new, now, day = new_tls_key(), datetime.now(UTC), timedelta(days=1)
    pem = issue(
        federation.issuer, identity, new.public_key(), (now - day, now + day), ["localhost"]
    )
    fresh = key.with_suffix(".fresh")
    save_private_key(fresh, new)
    certificate.write_bytes(pem)
    yield
    fresh.replace(key)


@pytest.mark.parametrize("broken", [gone, garbage, half_renewed])
def test_files_that_break_during_a_run_cost_nothing_and_are_spoken_of_once(
    federation: Any, calm: list[str], broken: Callable[..., Any]
) -> None:
    """At the server and at a site; connections go on, and new ones work all along."""
    server_kit, site_kit = federation.kits.server, federation.kits.client("site-1")
    with federation.running() as (server, first, second):
        server.wait_for(Topic.ROUND_FINISHED, round=0)
        address = server.address()
        with (
            broken(federation, [server_kit / part for part in SERVER_PARTS]),
            broken(federation, [site_kit / part for part in CLIENT_PARTS]),
        ):
            wait_until_said(first, "stays")
            assert shake_hands(federation, address) is None
            assert shake_hands(federation, address) is None
            reached = len(server.observations(Topic.ROUND_FINISHED))
            server.wait_for(Topic.ROUND_FINISHED, round=reached)
        wait_until_said(first, "can be used again")
        assert shake_hands(federation, address) is None
        assert server.wait() == 0, server.stderr
        assert [first.wait(), second.wait()] == [0, 0], first.stderr
    assert federation.hashes(server) == calm
    for program in (server, first):
        told = said(program, "stays")
        assert len(set(told)) == len(told) >= 1, program.stderr
        assert len(said(program, "can be used again")) == 1, program.stderr
    assert said(second, "TLS") == []


def test_a_site_whose_certificate_expires_leaves_with_the_date_and_the_others_finish(
    federation: Any,
) -> None:
    with (
        federation.server(NUM_ROUNDS=14) as server,
        federation.client(server, "site-1") as first,
        federation.client(server, "site-2") as second,
    ):
        server.wait_for(Topic.ROUND_FINISHED, round=0)
        with federation.client(server, "site-3") as third:
            third.wait_for(Topic.REGISTERED)
            certificate = federation.kits.client("site-3") / "client.crt"
            federation.renew(certificate, timedelta(seconds=3))
            end = read_peer_certificate(certificate.read_bytes()).not_after
            assert third.wait() == 1, third.stdout
            assert f"expired on {end:%Y-%m-%d %H:%M:%S} UTC" in third.stderr
            assert "provision renew" in third.stderr
        assert server.wait() == 0, server.stderr
        assert [first.wait(), second.wait()] == [0, 0]
    refused = [line for line in federation.audit() if line["decision"] == "refused"]
    assert {(line["who"], line["reason"]) for line in refused} >= {
        ("client site-3", "CERT_EXPIRED")
    }
    own = (federation.folder / "clients" / "site-3" / "audit.jsonl").read_text()
    assert '"reason":"CERT_EXPIRED"' in own


def test_a_server_whose_certificate_expires_says_so_as_its_clients_do_and_goes_on_once_renewed(
    federation: Any, calm: list[str]
) -> None:
    """Who is connected stays so; who connects anew waits, and a newcomer is sent away."""
    certificate = federation.kits.server / "server.crt"
    with federation.running() as (server, first, second):
        server.wait_for(Topic.ROUND_FINISHED, round=0)
        federation.renew(certificate, timedelta(seconds=1.5))
        end = read_peer_certificate(certificate.read_bytes()).not_after
        threading.Event().wait((end - datetime.now(UTC)).total_seconds() + 0.1)
        words = f"expired on {end:%Y-%m-%d %H:%M:%S} UTC"
        federation.renew(federation.kits.client("site-1") / "client.crt")
        assert words in first.wait_for(Topic.UNREACHABLE)["message"]
        with federation.client(server, "site-3") as late:
            assert late.wait() == 1, late.stdout
            assert words in late.stderr
        federation.renew(certificate)
        assert server.wait() == 0, server.stderr
        assert [first.wait(), second.wait()] == [0, 0]
    assert federation.hashes(server) == calm
    (told,) = said(server, words)
    assert str(certificate) in told
    assert "provision renew" in told
    assert second.observations(Topic.UNREACHABLE) == []


def test_a_list_of_revocations_past_its_date_stops_a_server_and_a_site_until_a_new_one_comes(
    federation: Any,
) -> None:
    """The office makes the new list with any call of ``provision``."""
    site = federation.kits.client("site-1") / "revocations.json"
    stale = federation.age_revocations()
    with federation.server() as server:
        assert server.wait() == 1, server.stdout
    assert_stale(server, federation.folder / "ws")
    federation.provision()
    assert site.read_bytes() != stale
    site.write_bytes(stale)
    with federation.server(NUM_ROUNDS=1, MIN_NUM_CLIENTS=1) as server:
        with federation.client(server, "site-1") as own:
            assert own.wait() == 1, own.stdout
        assert_stale(own, own.workspace)
        with federation.client(server, "site-1", delivered=True) as delivered:
            assert delivered.wait() == 1, delivered.stdout
        assert_stale(delivered, delivered.workspace)
        federation.provision()
        site.write_bytes((federation.kits.server / "revocations.json").read_bytes())
        with federation.client(server, "site-1") as mended:
            assert mended.wait() == 0, mended.stderr
        assert server.wait() == 0, server.stderr


def assert_stale(program: RunningProgram, workspace: Path) -> None:
    """It was said in words, with the mend, and written down."""
    assert "The revocation list was good until" in program.stderr
    assert "lay its revocations.json over the kit's" in program.stderr
    log = next(workspace.parent.rglob(f"{workspace.name}/audit.jsonl"))
    assert '"reason":"REVOCATIONS_STALE"' in log.read_text()
