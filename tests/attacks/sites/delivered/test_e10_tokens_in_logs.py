# SPDX-License-Identifier: Apache-2.0
"""E10: a token that is known, since the server lies, is in nothing that a client writes."""

from __future__ import annotations

import base64

import pytest

from mmar_runner.testing.processes import RunningProgram

TOKEN = "v1.Q2FuYXJ5VG9rZW5PZlRoaXNUZXN0.bm90LWEtbWFjLWJ1dC1hLWNhbmFyeQ"


def ways_to_write(secret: bytes) -> set[bytes]:
    """Return how bytes may be written in a text."""
    encoded = {base64.b64encode(secret), base64.urlsafe_b64encode(secret)}
    texts = {one.rstrip(b"=") for one in encoded}
    return {secret, secret.hex().encode(), repr(secret)[2:-1].encode(), *texts}


@pytest.mark.parametrize("form", ["json", "text"])
def test_e10_a_talkative_client_writes_neither_token_nor_session_key(hospital, delivered, form):
    delivered.sent(hospital.mmar())
    delivered.lies.registration = {"token": TOKEN}
    arguments = hospital.client_arguments("site-1", None, delivered.server.address)
    talkative = ["--log-format", form, "-vv", *arguments]
    with RunningProgram(talkative, folder=hospital.folder, label="talkative") as client:
        assert client.wait() == 0, client.stderr
    assert delivered.lies.updates[0].token == TOKEN  # it was in use
    assert len(client.stderr.splitlines()) > 3, "it said nothing"

    workspace = hospital.workspace("site-1")
    secrets = {TOKEN.encode(), TOKEN.rpartition(".")[2].encode()}
    secrets |= ways_to_write((workspace / "session.key").read_bytes())
    files = [p for p in workspace.rglob("*") if p.is_file() and p.name != "session.key"]
    files += hospital.folder.glob("talkative.*")
    assert len(files) > 4
    assert [(p, s) for p in files for s in secrets if s in p.read_bytes()] == []
    assert (workspace / "session.key").stat().st_mode & 0o077 == 0
