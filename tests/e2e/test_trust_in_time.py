# SPDX-License-Identifier: Apache-2.0
"""Trust while a run lasts: what is renewed, revoked and restarted, with real processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmar_runner.interfaces.observer import Topic
from mmar_runner.testing.processes import RunningClient


def test_certificates_renewed_during_a_run_cost_no_round(
    tmp_path: Path, federation: Any, calm: list[str]
) -> None:
    """The server's and a site's; a token is bound to a certificate, so the site registers."""
    with federation.running() as (server, first, second):
        server.wait_for(Topic.ROUND_FINISHED, round=0)
        federation.renew(federation.kits.server / "server.crt")
        federation.renew(federation.kits.client("site-1") / "client.crt")
        assert server.wait() == 0, server.stderr
        assert [first.wait(), second.wait()] == [0, 0]
    assert federation.hashes(server) == calm
    lines = federation.audit()
    assert [line for line in lines if line["decision"] == "refused"] == []
    (renewed,) = [line for line in lines if line["action"] == "session.renewed"]
    assert (renewed["who"], renewed["decision"]) == ("client site-1", "noted")
    assert "a new certificate is in force until" in first.stderr
    own = (tmp_path / "clients" / "site-1" / "audit.jsonl").read_text()
    assert '"renewed":true' in own


def test_a_server_that_is_killed_knows_its_tokens_again(
    tmp_path: Path, federation: Any, calm: list[str]
) -> None:
    """Nobody registers again, and the models are those of a calm run."""
    with federation.running() as (server, first, second):
        server.wait_for(Topic.ROUND_FINISHED, round=1)
        address = server.address()
        server.kill()
        before = [line for line in federation.audit() if line["action"] == "Register"]
        with federation.server(address) as again:
            assert again.wait() == 0, again.stderr
            assert [first.wait(), second.wait()] == [0, 0]
            assert federation.hashes(again) == calm
    after = [line for line in federation.audit() if line["action"] == "Register"]
    assert after == before
    assert all(line["decision"] != "refused" for line in federation.audit())


def test_a_site_revoked_in_the_middle_leaves_and_the_others_finish(
    tmp_path: Path, federation: Any, calm: list[str]
) -> None:
    """It joins too late to be asked for much, is revoked, and a clone fares no better."""
    with federation.running() as (server, first, second):
        server.wait_for(Topic.ROUND_FINISHED, round=0)
        with federation.client(server, "site-3") as third:
            third.wait_for(Topic.REGISTERED)
            federation.revoke("site-3")
            assert third.wait() == 1, third.stdout
            assert "CERT_REVOKED" in third.stdout + third.stderr or "revoked" in third.stderr
        assert server.wait() == 0, server.stderr
        assert [first.wait(), second.wait()] == [0, 0]
    refused = [line for line in federation.audit() if line["decision"] == "refused"]
    assert {(line["who"], line["reason"]) for line in refused} == {
        ("client site-3", "CERT_REVOKED")
    }
    last = server.summary()["rounds"][-1]["contributions"]
    assert [entry["client"] for entry in last] == ["site-1", "site-2"]
    left = [line for line in federation.audit() if line["action"] == "leave"]
    assert "site-3" in [line["data"]["client"] for line in left]


def test_a_cloned_kit_is_turned_away_while_its_owner_is_there(
    tmp_path: Path, federation: Any, calm: list[str]
) -> None:
    with federation.running() as (server, first, second):
        server.wait_for(Topic.ROUND_FINISHED, round=0)
        clone = RunningClient(
            federation.mmar,
            server.address(),
            "site-1",
            tmp_path / "elsewhere",
            variables=federation.variables,
            kit=federation.kits.client("site-1"),
        )
        with clone:
            assert clone.wait() == 1
            assert "is taken by a session that is alive" in clone.stderr
        assert server.wait() == 0, server.stderr
        assert [first.wait(), second.wait()] == [0, 0]
    assert federation.hashes(server) == calm
    refused = [line for line in federation.audit() if line["decision"] == "refused"]
    assert [(line["who"], line["reason"]) for line in refused] == [("client site-1", "NAME_TAKEN")]


def test_a_run_whose_mmar_is_revoked_has_failed_and_says_why(federation: Any) -> None:
    """No site may run it any more: nobody is waited for."""
    with federation.running() as (server, first, second):
        server.wait_for(Topic.ROUND_FINISHED, round=0)
        digest = server.summary()["mmar"]["digest"]
        federation.revoke_mmar(digest)
        assert server.wait() == 1
        assert [first.wait(), second.wait()] == [1, 1]
    assert f"the MMAR of this run was revoked (digest {digest})" in server.stderr
    assert server.summary()["status"] == "failed"
    for client in (first, second):
        assert "was revoked" in client.stdout + client.stderr
