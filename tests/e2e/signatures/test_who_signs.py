# SPDX-License-Identifier: Apache-2.0
"""Whose signature counts, and for whom."""

from __future__ import annotations

import json
import shutil

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from mmar_runner.cli.main import main
from mmar_runner.security.kits.files import KIT_TYPE
from mmar_runner.security.pki.envelope import read_envelope
from mmar_runner.security.pki.revocation import REVOCATIONS_TYPE
from mmar_runner.security.signatures.manifest import MMAR_TYPE
from tests.e2e.signatures.projects import ADA, BOB, Project, _add


def test_d12_an_unsigned_mmar_is_refused(cli):
    assert cli.verify()[0] == "SIGNATURE_MISSING"
    cli.sign()
    assert cli.verify() == []


def test_d12_a_key_that_nobody_knows_signs_nothing(cli):
    cli.sign()
    honest = cli.envelope.read_bytes()
    cli.sign_by_hand(ed25519.Ed25519PrivateKey.generate())
    assert cli.verify()[0] == "SIGNER_NOT_TRUSTED"

    cli.envelope.write_bytes(honest)
    assert cli.verify() == []


@pytest.mark.parametrize(
    "name",
    ["site-1/client.key", "localhost/server.key", f"{ADA}/client.key"],
    ids=["client", "server", "administrator"],
)
def test_d12_a_key_for_tls_signs_nothing(cli, name):
    cli.sign()
    assert cli.verify() == []

    cli.sign_by_hand(cli.project.key(name))

    assert cli.verify()[0] == "SIGNER_NOT_TRUSTED"


def test_d12_the_authority_itself_signs_no_mmar(cli):
    cli.sign()
    assert cli.verify() == []

    cli.sign_by_hand(cli.project.key("authority/root.key"))

    assert cli.verify()[0] == "SIGNER_NOT_TRUSTED"


def test_d12_a_revoked_key_signs_nothing(cli):
    cli.sign()
    assert cli.verify() == []

    cli.project.revoke(key_ids=(cli.project.release_id(ADA),))

    assert cli.verify()[0] == "SIGNER_REVOKED"
    cli.call("sign-mmar", cli.mmar, "--kit", cli.project.kit(BOB), "--mmar-version", 2)
    assert cli.verify() == []


def test_d12_code_needs_both_signatures_where_the_site_says_so(cli):
    cli.project.policy("site-1", byoc="allow", signatures={"byoc": 2})
    (cli.mmar / "custom").mkdir()
    (cli.mmar / "custom" / "own.py").write_text("ANSWER = 42\n")
    cli.sign()
    assert cli.verify() == ["THRESHOLD"]

    assert cli.sign(BOB)["added"]
    assert cli.verify() == []


def test_d12_the_same_key_twice_is_one_signature(cli):
    cli.project.policy("site-1", signatures={"mmar": 2})
    cli.sign()
    value = json.loads(cli.envelope.read_text())
    again = {**value["signatures"][0], "keyid": cli.project.release_id(BOB)}
    cli.envelope.write_text(json.dumps({**value, "signatures": [*value["signatures"], again]}))
    assert cli.verify() == ["THRESHOLD"]

    cli.sign(BOB, "--days", "3")
    cli.sign(ADA)
    assert cli.verify() == []


@pytest.mark.parametrize("what", ["revocations", "kit"])
def test_d12_what_was_signed_as_something_else_is_no_mmar(cli, what):
    cli.sign()
    assert cli.verify() == []
    name = {"revocations": "revocations.json", "kit": "signature.json"}[what]

    shutil.copy(cli.project.kit("site-1") / name, cli.envelope)

    assert cli.verify()[0] == "TYPE"


@pytest.mark.parametrize("kind", [REVOCATIONS_TYPE, KIT_TYPE], ids=["revocations", "kit"])
def test_d12_a_known_key_under_another_type_signs_no_mmar(cli, kind):
    cli.sign()
    cli.sign_by_hand(cli.project.key(f"{ADA}/release.key"), payload_type=kind)
    assert cli.verify()[0] == "TYPE"

    value = json.loads(cli.envelope.read_text())
    cli.envelope.write_text(json.dumps({**value, "payloadType": MMAR_TYPE}))
    assert cli.verify()[0] == "SIGNER_NOT_TRUSTED"


def test_d12_a_key_twice_in_the_payload_is_refused(cli):
    cli.sign()
    payload = read_envelope(cli.envelope.read_bytes()).payload
    twice = payload.replace(b'"version":1,', b'"version":1,"version":9,')
    assert twice != payload

    cli.sign_by_hand(cli.project.key(f"{ADA}/release.key"), payload=twice)
    assert cli.verify()[0] == "FORMAT"
    cli.sign_by_hand(cli.project.key(f"{ADA}/release.key"), payload=payload)
    assert cli.verify() == []


def test_d13_what_was_signed_for_another_project_is_refused(cli, tmp_path):
    other = Project(tmp_path / "other", "lung")
    cli.sign()
    payload = read_envelope(cli.envelope.read_bytes()).payload
    assert cli.verify() == []

    for_other = payload.replace(b'"project":"heart"', b'"project":"lung"')
    cli.sign_by_hand(cli.project.key(f"{ADA}/release.key"), payload=for_other)
    assert cli.verify() == ["WRONG_PROJECT"]
    assert cli.verify(project=other)[0] == "SIGNER_NOT_TRUSTED"


def test_d13_a_site_that_is_not_addressed_refuses_alone(cli):
    cli.sign(ADA, "--audience", "site-2")

    assert cli.verify("site-1") == ["WRONG_AUDIENCE"]
    assert cli.verify("site-2") == []
    code, answer = cli.call(
        *("sign-mmar", cli.mmar, "--kit", cli.project.kit(ADA), "--audience", "site-3")
    )
    assert code == 2
    assert "site-3" in answer["error"]["message"]


def test_a_sites_kit_signs_nothing(cli):
    code, answer = cli.call("sign-mmar", cli.mmar, "--kit", cli.project.kit("site-1"))

    assert (code, answer["error"]["reason"]) == (1, "KIT_ROLE")


def test_a_folder_that_is_no_mmar_is_exit_code_2(cli, tmp_path):
    code, answer = cli.call("verify-mmar", tmp_path, "--kit", cli.project.kit("site-1"))

    assert (code, answer["error"]["reason"]) == (2, "MMAR_UNREADABLE")


def test_people_read_each_rule_with_its_mend(cli):
    cli.sign()
    _add(cli.mmar)

    with pytest.raises(SystemExit) as caught:
        main(["verify-mmar", str(cli.mmar), "--kit", str(cli.project.kit("site-1"))])

    text = cli.capsys.readouterr().out
    assert caught.value.code == 1
    assert text.startswith("site-1 refuses ")
    assert "NO  signature.files: MANIFEST_MISMATCH: " in text
    assert "mend: Remove it; or have" in text
