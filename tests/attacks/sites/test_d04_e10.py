# SPDX-License-Identifier: Apache-2.0
"""D04 and E10: who may bring code where, and what a kit and a log must not hold."""

from __future__ import annotations

import base64
import re
import shutil
from pathlib import Path

import pytest

from mmar_runner.testing.kits import make_kits

LEAD = "lead@uni.org"


def test_d04_code_is_refused_at_the_server_that_allows_none(hospital):
    mmar = hospital.mmar(code="custom/nets.py")
    before = hospital.memory("localhost")
    with hospital.start_server(mmar) as server:
        assert server.wait() == 1
    (line,) = hospital.audited(server.workspace)
    assert (line["action"], line["decision"]) == ("mmar.upload", "refused")
    assert line["reason"] == "BYOC_NOT_ALLOWED"
    assert LEAD in line["data"]["signers"]
    assert hospital.memory("localhost") == before
    assert not hospital.canary.exists()
    assert not (server.workspace / "endpoint.json").exists()


def test_d04_the_strict_site_refuses_alone_and_the_others_finish_undisturbed(hospital, calm):
    mmar = hospital.mmar(code="custom/nets.py")
    for site in ("localhost", "site-1", "site-3"):
        hospital.policy(site, byoc="allow")
    hospital.policy("site-2", byoc="allow")  # its own word does not overrule the project's
    hospital.refused("site-2", mmar, "BYOC_NOT_ALLOWED")
    assert hospital.federation(mmar, ("site-1", "site-3")) == calm

    ended = hospital.command(
        *("policy", "explain", mmar, "--kit", hospital.kit(LEAD), "--site", "site-2", "--json")
    )
    (step,) = [one for one in ended.answer["steps"] if not one["accepted"]]
    assert (ended.code, step["rule"]) == (1, "authorization.byoc")
    assert step["policy"]["file"].endswith("authorization.json")
    assert step["policy"]["line"] >= 1
    assert "allow_byoc" in step["hint"]


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o666])
def test_e10_a_key_that_others_can_read_is_refused(hospital, mode):
    mmar = hospital.mmar()
    key = hospital.kit("site-1") / "client.key"
    key.chmod(mode)
    ended = hospital.run_client("site-1", mmar)
    assert (ended.code, ended.error["reason"]) == (1, "KEY_READABLE")
    key.chmod(0o600)
    hospital.accepted("site-1", mmar)


@pytest.mark.parametrize("name", ["root.key", "notes.txt", ".hidden", "deeper/backup.pem"])
def test_e10_the_authoritys_key_in_a_kit_is_refused_under_any_name(hospital, name):
    mmar = hospital.mmar()
    planted = hospital.kit("site-1") / name
    planted.parent.mkdir(exist_ok=True)
    shutil.copy(hospital.kits.out / "authority" / "root.key", planted)
    ended = hospital.run_client("site-1", mmar)
    assert (ended.code, ended.error["reason"]) == (1, "KIT_AUTHORITY_KEY")
    planted.unlink()
    hospital.accepted("site-1", mmar)


@pytest.mark.parametrize("name", ["authorization.json", "trust.json", "fed_client.json"])
def test_e10_a_kit_that_was_altered_is_refused_and_the_file_named(hospital, name):
    mmar = hospital.mmar()
    path = hospital.kit("site-1") / name
    path.write_bytes(path.read_bytes() + b"\n")
    ended = hospital.run_client("site-1", mmar)
    assert (ended.code, ended.error["reason"]) == (1, "KIT_ALTERED")
    assert name in ended.error["message"]


def secrets_of(kits: Path) -> set[bytes]:
    """Return a piece of every private key: of its text, and of its bytes."""
    found = set()
    for path in kits.rglob("*.key"):
        body = "".join(path.read_text().splitlines()[1:-1])
        data = base64.b64decode(body)
        start = 40 if len(data) > 64 else 20  # behind what all keys of a kind begin with
        piece = data[start : start + 20]
        text = body[start * 4 // 3 + 4 :][:20]
        found |= {piece, text.encode()}
    return found


def test_e10_no_secret_reaches_a_log_a_journal_or_a_workspace(hospital):
    mmar = hospital.mmar()
    with hospital.start_server(mmar) as server:
        address = server.address()
        clients = [hospital.client(site, address) for site in ("site-1", "site-3")]
        assert [client.wait() for client in clients] == [0, 0]
        assert server.wait() == 0
    token = re.compile(rb'"(?:token|session_key)"\s*:\s*"[^"]{8,}')
    secrets = secrets_of(hospital.kits.out)
    assert len(secrets) > 10
    places = [hospital.folder / "ws", server.workspace]
    files = [p for place in places for p in place.rglob("*") if p.is_file()]
    files += [*hospital.folder.glob("*.out"), *hospital.folder.glob("*.err")]
    for path in files:
        data = path.read_bytes()
        assert b"PRIVATE KEY" not in data, path
        assert not [one for one in secrets if one in data], path
        readable_by_others = path.stat().st_mode & 0o077
        assert not (token.search(data) and readable_by_others), path


def test_e10_two_projects_share_no_key(hospital, tmp_path):
    other = make_kits(tmp_path / "again", clients=("site-1",), admins=(LEAD,), project="heart")
    ours, theirs = secrets_of(hospital.kits.out), secrets_of(other.out)
    assert ours
    assert theirs
    assert not ours & theirs
