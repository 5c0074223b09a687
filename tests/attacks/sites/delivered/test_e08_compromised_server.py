# SPDX-License-Identifier: Apache-2.0
"""E08: the server's key was stolen; a site runs only what it accepted, all the same."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from mmar_runner.security.pki.envelope import read_envelope, sign
from mmar_runner.security.pki.keys import load_private_key
from mmar_runner.security.pki.revocation import read_revocations, sign_revocations
from mmar_runner.security.signatures.manifest import MMAR_TYPE

LEAD = "lead@uni.org"


def test_e08_an_unsigned_mmar_is_refused(hospital, delivered):
    root = hospital.mmar(sign=False)
    delivered.sent(root)
    delivered.refused("SIGNATURE_MISSING")

    hospital.sign(root)
    delivered.sent(root)
    delivered.works()


def test_e08_a_digest_that_the_site_accepted_stands_in_for_no_delivery(hospital, delivered):
    root = hospital.mmar(sign=False)
    hospital.policy("site-1", accepted_digests=[hospital.digest(root)])
    delivered.sent(root)
    delivered.refused("SIGNATURE_MISSING")

    hospital.accepted("site-1", root)


def test_e08_the_servers_own_key_signs_nothing(hospital, delivered):
    root = hospital.mmar()
    honest = (root / "signature.json").read_bytes()
    key = load_private_key(hospital.server / "server.key")
    forged = sign(MMAR_TYPE, read_envelope(honest).payload, [key])
    (root / "signature.json").write_bytes(forged.to_json())
    delivered.sent(root)
    delivered.refused("SIGNER_NOT_TRUSTED")

    (root / "signature.json").write_bytes(honest)
    delivered.sent(root)
    delivered.works()


def test_e08_an_altered_mmar_is_refused_and_the_file_named(hospital, delivered):
    root = hospital.mmar()
    hospital.edit(root, "environment.json", NOISE=0.5)
    delivered.sent(root)
    error = delivered.refused("MANIFEST_MISMATCH")
    assert "Changed since it was signed: config/environment.json" in error["message"]

    hospital.sign(root)
    delivered.sent(root)
    delivered.works()


def test_e08_an_added_file_is_refused_and_named(hospital, delivered):
    root = hospital.mmar()
    hospital.policy("site-1", byoc="allow")
    hospital.plant(root, "custom/extra.py")
    delivered.sent(root)
    assert "custom/extra.py" in delivered.refused("MANIFEST_MISMATCH")["message"]

    shutil.rmtree(root / "custom")
    delivered.sent(root)
    delivered.works()


def test_e08_policies_in_an_mmar_are_nobodys(hospital, delivered):
    """A signed MMAR brings policies that would allow what the site's own does not."""
    root = hospital.mmar(code="custom/nets.py", sign=False)
    rules = {"version": 1, "byoc": "allow", "allowed_path_prefixes": ["os."]}
    for place in ("site_policy.json", "config/site_policy.json"):
        (root / place).write_text(json.dumps(rules))
    shutil.copy(hospital.kit("site-1") / "authorization.json", root / "config")
    hospital.sign(root)
    delivered.sent(root)
    delivered.refused("BYOC_NOT_ALLOWED")

    shutil.rmtree(root / "custom")
    hospital.sign(root)
    delivered.sent(root)
    delivered.works()


def test_e08_the_replay_of_an_older_version_is_refused(hospital, delivered):
    root = hospital.mmar()
    old = root.parent / "old" / "echo"
    shutil.copytree(root, old)
    hospital.edit(root, "environment.json", NOISE=0.5)
    hospital.sign(root, version=2)
    delivered.sent(root)
    delivered.works()
    assert hospital.versions("site-1") == {"heart": {"echo": 2}}

    delivered.sent(old)
    ended = hospital.run_client("site-1", None, delivered.server.address)
    assert (ended.code, ended.error["reason"]) == (1, "VERSION_ROLLBACK")
    assert hospital.decisions("site-1") == [("accepted", ""), ("refused", "VERSION_ROLLBACK")]
    assert hospital.versions("site-1") == {"heart": {"echo": 2}}
    assert not (hospital.workspace("site-1") / "store" / hospital.digest(old)).exists()


def test_e08_an_older_version_under_another_name_is_refused(hospital, delivered):
    """A rename would make of an old MMAR one that nobody has seen."""
    root = hospital.mmar()
    delivered.sent(root, name="echo2")
    delivered.refused("MANIFEST_MISMATCH")

    delivered.sent(root)
    delivered.works()


def test_e08_what_is_meant_for_another_site_is_refused(hospital, delivered):
    root = hospital.mmar(sign=False)
    hospital.sign(root, audience=("site-2",))
    delivered.sent(root)
    delivered.refused("WRONG_AUDIENCE")

    hospital.sign(root, audience=("site-1",))
    delivered.sent(root)
    delivered.works()


def test_e08_another_projects_mmar_is_refused(hospital, delivered, other_project, tmp_path):
    root = hospital.mmar()
    honest = (root / "signature.json").read_bytes()
    other_project.sign(root)
    delivered.sent(root)
    delivered.refused("SIGNER_NOT_TRUSTED")

    (root / "signature.json").write_bytes(honest)
    delivered.sent(root)
    delivered.works()


def test_e08_an_expired_mmar_is_refused(hospital, delivered):
    root = hospital.mmar(sign=False)
    payload = json.loads(read_envelope(hospital.sign(root)).payload)
    payload["expires"] = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    late = sign(MMAR_TYPE, json.dumps(payload).encode(), [hospital.signer().key])
    (root / "signature.json").write_bytes(late.to_json())
    delivered.sent(root)
    delivered.refused("SIGNATURE_EXPIRED")

    hospital.sign(root)
    delivered.sent(root)
    delivered.works()


def test_e08_code_that_the_site_did_not_accept_is_refused_and_not_imported(hospital, delivered):
    root = hospital.mmar(code="custom/nets.py")
    delivered.sent(root)
    delivered.refused("BYOC_NOT_ALLOWED")

    hospital.policy("site-1", byoc="digest", accepted_digests=[hospital.digest(root)])
    delivered.sent(root)
    delivered.works()


LIES = {
    "a_name_that_climbs": ({"name": "../../evil"}, {"UNSAFE_PATH"}),
    "an_absolute_name": ({"name": "/etc/evil"}, {"UNSAFE_PATH"}),
    "a_name_with_an_escape": ({"name": "e\x1b[2Jcho"}, {"UNSAFE_PATH"}),
    "no_name": ({"name": ""}, {"UNSAFE_PATH"}),
    "a_tebibyte": ({"total_bytes": 1 << 40}, {"TOO_LARGE"}),
    "another_sha256": ({"sha256": "0" * 64}, {"DIGEST"}),
    "no_sha256": ({"sha256": "x"}, {"PROTOCOL"}),
    "an_offset_that_nobody_asked_for": ({"offset": 5}, {"PROTOCOL"}),
    "fewer_bytes_than_come": ({"total_bytes": 10}, {"PROTOCOL"}),
}


@pytest.mark.parametrize("lie", LIES)
def test_e08_a_header_that_lies_is_refused(hospital, delivered, lie):
    header, reasons = LIES[lie]
    root = hospital.mmar()
    delivered.sent(root, **header)
    delivered.refused(*reasons)

    delivered.sent(root)
    delivered.works()


def test_e08_lists_of_revocations_that_do_not_count_change_nothing(
    hospital, delivered, other_project, provisioned
):
    """Offered in the middle of honest work, which goes on: all are refused, none is taken."""
    root = hospital.mmar()
    authority = load_private_key(provisioned / "kits" / "authority" / "root.key")
    pem = (hospital.kit("site-1") / "rootCA.pem").read_bytes()
    own = read_revocations((hospital.kit("site-1") / "revocations.json").read_bytes(), pem)
    newer = sign_revocations(replace(own, version=own.version + 2), authority)
    lower = sign_revocations(replace(own, version=own.version + 1), authority)
    server_key = load_private_key(hospital.server / "server.key")
    forged = sign_revocations(replace(own, version=own.version + 9), server_key)
    delivered.lies.lists = [
        newer,
        lower,
        forged,
        (other_project.kit("site-1") / "revocations.json").read_bytes(),
        root.joinpath("signature.json").read_bytes(),
        b"no list at all \x1b[2J",
    ]
    delivered.sent(root)
    delivered.works()

    lines = hospital.audited(hospital.workspace("site-1"))
    said = [(x["decision"], x["reason"]) for x in lines if x["action"] == "Revocations"]
    assert said[0] == ("accepted", "")
    assert [reason for decision, reason in said[1:] if decision == "refused"] == [
        "VERSION_ROLLBACK",
        "SIGNER_NOT_TRUSTED",
        "TYPE",
        "FORMAT",
        "SIGNER_NOT_TRUSTED",  # the second of them, counted
    ]
    kept = (hospital.kit("site-1") / "state" / "revocations.json").read_bytes()
    assert kept == newer


def test_e08_a_revoked_mmar_ends_the_work_at_once(hospital, delivered, provisioned):
    root = hospital.mmar()
    authority = load_private_key(provisioned / "kits" / "authority" / "root.key")
    pem = (hospital.kit("site-1") / "rootCA.pem").read_bytes()
    own = read_revocations((hospital.kit("site-1") / "revocations.json").read_bytes(), pem)
    digests = (hospital.digest(root),)
    delivered.lies.lists = [
        sign_revocations(replace(own, version=own.version + 1, digests=digests), authority)
    ]
    delivered.sent(root)
    with hospital.client("site-1", delivered.server.address) as client:
        assert client.wait() == 1
        assert client.reason == "DIGEST_REVOKED"
    assert not delivered.lies.updates


PICKLE = b"\x80\x04cos\nsystem\n(X\x01\x00\x00\x00xtR."
MODELS = {
    "of_a_tebibyte": {"total_bytes": 1 << 40},
    "that_is_not_what_was_announced": {"sha256": "0" * 64},
}


@pytest.mark.parametrize("name", MODELS)
def test_e08_a_model_that_lies_is_not_taken_and_the_honest_work_goes_on(hospital, delivered, name):
    root = hospital.mmar()
    delivered.sent(root)
    delivered.lies.model = MODELS[name]
    delivered.works()


def test_e08_a_model_that_begins_in_the_middle_ends_the_work_in_order(hospital, delivered):
    root = hospital.mmar()
    delivered.sent(root)
    delivered.lies.model = {"offset": 7}
    with hospital.client("site-1", delivered.server.address) as client:
        assert (client.wait(), client.reason) == (1, "PROTOCOL")
    assert not delivered.lies.updates

    delivered.works()


def test_e08_a_model_that_is_a_pickle_is_never_loaded(hospital, delivered):
    root = hospital.mmar()
    delivered.sent(root)
    facts = {"inline": PICKLE, "total_bytes": len(PICKLE)}
    delivered.lies.model = facts | {"sha256": sha256(PICKLE).hexdigest()}
    delivered.lies.rounds = 2
    with hospital.client("site-1", delivered.server.address) as client:
        assert client.wait() == 0, client.stderr
    assert [(one.round, one.reason) for one in delivered.lies.failures] == [(0, "FORMAT")]
    assert [one.round for one in delivered.lies.updates] == [1]
