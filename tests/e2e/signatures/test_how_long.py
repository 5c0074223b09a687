# SPDX-License-Identifier: Apache-2.0
"""How long a signature counts: dates, versions, revocations."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from mmar_runner.security.pki.envelope import read_envelope
from tests.e2e.signatures.projects import ADA, BOB


def test_an_expired_signature_is_refused(cli):
    cli.sign()
    payload = json.loads(read_envelope(cli.envelope.read_bytes()).payload)
    payload["expires"] = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    assert cli.verify() == []

    cli.sign_by_hand(cli.project.key(f"{ADA}/release.key"), payload=json.dumps(payload).encode())

    assert cli.verify() == ["SIGNATURE_EXPIRED"]


def test_an_older_version_than_the_accepted_one_is_refused_and_verifying_remembers_none(cli):
    cli.sign()
    old = cli.envelope.read_bytes()
    assert cli.sign()["version"] == 2
    assert cli.verify() == []
    cli.envelope.write_bytes(old)
    assert cli.verify() == []

    state = cli.project.kit("site-1") / "state"
    (state / "versions.json").write_text('{"heart": {"echo": 2}}')

    assert cli.verify() == ["VERSION_ROLLBACK"]
    assert json.loads((state / "versions.json").read_text()) == {"heart": {"echo": 2}}


def test_a_stale_list_of_revocations_and_a_revoked_digest_are_refused(cli):
    digest = cli.sign()["digest"]
    assert cli.verify() == []

    cli.project.revoke(digests=(digest,))
    assert cli.verify() == ["DIGEST_REVOKED"]
    cli.project.revoke(101, expires=datetime.now(UTC) - timedelta(seconds=1))
    assert cli.verify() == ["REVOCATIONS_STALE"]


def test_a_digest_that_the_site_accepted_is_good_for_its_own_folder_only(cli):
    digest = cli.sign()["digest"]
    cli.envelope.unlink()
    cli.project.policy("site-1", accepted_digests=[digest])

    assert cli.verify("site-1", "--local") == []
    assert "SIGNATURE_MISSING" in cli.verify("site-1")


def test_an_administrator_whose_key_was_revoked_signs_no_more(cli):
    cli.project.revoke(key_ids=(cli.project.release_id(ADA),))

    code, answer = cli.call("sign-mmar", cli.mmar, "--kit", cli.project.kit(ADA))

    assert (code, answer["error"]["reason"]) == (1, "SIGNER_REVOKED")
    assert not cli.envelope.exists()


def test_what_provisioning_revokes_is_refused(cli):
    provisioning = (cli.project.project_file, "--out", cli.project.folder)
    cli.sign()
    digest = cli.sign(BOB)["digest"]
    assert cli.verify() == []

    ada = cli.project.release_id(ADA)
    assert cli.call("provision", "revoke", *provisioning, "--key", ada)[0] == 0
    assert cli.verify() == []
    assert cli.call("provision", "revoke", *provisioning, "--digest", digest)[0] == 0
    assert cli.verify() == ["DIGEST_REVOKED"]
    (cli.mmar / "mended.txt").write_text("x")
    assert cli.call("sign-mmar", cli.mmar, "--kit", cli.project.kit(ADA))[0] == 1
    assert cli.sign(BOB)["version"] == 2
    assert cli.verify("site-2") == []
