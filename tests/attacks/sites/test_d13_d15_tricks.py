# SPDX-License-Identifier: Apache-2.0
"""MMARs for others, policies that are none, and files that two readers read differently."""

from __future__ import annotations

import json

import pytest

from mmar_runner.security.pki.envelope import read_envelope, sign
from mmar_runner.security.signatures.manifest import MMAR_TYPE
from tests.attacks.sites.explaining import CLIENT, flip, reissued


def test_d13_what_was_signed_for_others_is_refused(hospital, other_project):
    mmar = hospital.mmar(sign=False)
    hospital.sign(mmar, audience=("site-2", "site-3"))
    hospital.refused("site-1", mmar, "WRONG_AUDIENCE")
    hospital.accepted("site-3", mmar)

    other_project.sign(mmar)
    hospital.refused("site-1", mmar, "SIGNER_NOT_TRUSTED")
    payload = read_envelope((mmar / "signature.json").read_bytes()).payload
    (mmar / "signature.json").write_bytes(
        sign(MMAR_TYPE, payload, [hospital.signer().key]).to_json()
    )
    hospital.refused("site-1", mmar, "WRONG_PROJECT")


@pytest.mark.parametrize("file", ["custom/json.py", "custom/mmar_runner/__init__.py"])
def test_d15_a_module_that_shadows_another_shadows_nothing(hospital, file):
    mmar = hospital.mmar(code=file)
    hospital.policy("site-1", byoc="allow")
    ended = hospital.run_client("site-1", mmar)
    assert ended.error["reason"] in {"UNREACHABLE", "MMAR_INVALID"}
    assert not hospital.canary.exists()


@pytest.mark.parametrize(
    "text",
    ['{"format_version": 1, "format_version": 2}', '{"<<": "!!python/object:os.system"}'],
    ids=["twice", "tag"],
)
def test_d15_a_configuration_that_two_readers_read_differently_is_refused(hospital, text):
    mmar = hospital.mmar(sign=False)
    (mmar / "config" / CLIENT).write_text(text)
    hospital.sign(mmar)
    ended = hospital.run_client("site-1", mmar)
    assert (ended.code, ended.error["reason"]) == (1, "MMAR_INVALID")
    assert hospital.decisions("site-1") == [("refused", "MMAR_INVALID")]
    assert hospital.versions("site-1") == {}


POLICIES = {
    "byte_order_mark": '\ufeff{"version": 1}',
    "twice": '{"version": 1, "byoc": "refuse", "byoc": "allow"}',
    "wrong_type": '{"version": 1, "byoc": true}',
    "unknown_key": '{"version": 1, "boyc": "refuse"}',
    "empty": "",
    "list": "[]",
}


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_that_is_wrong_is_refused_as_a_whole_and_never_taken_for_absent(hospital, name):
    mmar = hospital.mmar()
    (hospital.kit("site-1") / "site_policy.json").write_text(POLICIES[name])
    ended = hospital.run_client("site-1", mmar)
    assert (ended.code, ended.error["reason"]) == (2, "POLICY_INVALID")
    assert hospital.decisions("site-1") == [("refused", "POLICY_INVALID")]


def test_a_policy_that_leads_nowhere_is_refused_and_never_taken_for_absent(hospital):
    """Without it the site's filters and blocked digests would be gone."""
    mmar = hospital.mmar()
    path = hospital.kit("site-1") / "site_policy.json"
    path.unlink()
    path.symlink_to("gone.json")
    ended = hospital.run_client("site-1", mmar)
    assert (ended.code, ended.error["reason"]) == (1, "KIT_LINK")
    assert hospital.decisions("site-1") == []


def test_a_policy_that_is_a_folder_is_refused_and_never_taken_for_absent(hospital):
    """Nobody can read it as a file, the superuser neither."""
    mmar = hospital.mmar()
    path = hospital.kit("site-1") / "site_policy.json"
    hospital.accepted("site-1", mmar)
    path.unlink()
    path.mkdir()
    ended = hospital.run_client("site-1", mmar)
    assert ended.code != 0
    assert ended.error["reason"] != "UNREACHABLE"
    assert hospital.decisions("site-1")[-1] == ("refused", ended.error["reason"])


def test_a_site_that_its_own_authorization_does_not_know_runs_nothing(hospital):
    """Whoever strikes it out by hand alters the kit; the project may, and then is heeded."""
    mmar = hospital.mmar()
    hospital.accepted("site-1", mmar)
    path = hospital.kit("site-1") / "authorization.json"
    honest = path.read_bytes()
    value = json.loads(honest)
    del value["sites"]["site-1"]
    path.write_text(json.dumps(value))
    ended = hospital.run_client("site-1", mmar)
    assert (ended.code, ended.error["reason"]) == (1, "KIT_ALTERED")  # it is the project's file

    path.write_bytes(honest)
    reissued(hospital, "site-1", lambda policy: policy["sites"].pop("site-1"))
    hospital.refused("site-1", mmar, "SITE_UNKNOWN")
    reissued(hospital, "site-1", lambda policy: policy["sites"].update({"site-1": "uni"}))
    hospital.accepted("site-1", mmar)


HONEST_EDITS = {
    "d05_data": lambda hospital, mmar: (mmar / "resources" / "data.csv").write_text("a,b\n1,2\n"),
    "d06_component": lambda hospital, mmar: hospital.edit(
        mmar, CLIENT, client_trainer={"name": "EchoTrainer", "args": {}}
    ),
    "d08_nested": lambda hospital, mmar: hospital.edit(
        mmar, CLIENT, client={"inbound_filters": [], "outbound_filters": []}
    ),
    "d09_argument": lambda hospital, mmar: hospital.edit(
        mmar, CLIENT, client_trainer={"name": "EchoTrainer", "args": {"behaviour": "exit"}}
    ),
    "d10_signed_again": lambda hospital, mmar: flip(mmar),
    "d15_configuration": lambda hospital, mmar: hospital.edit(mmar, CLIENT, format_version=1),
}


@pytest.mark.parametrize("name", HONEST_EDITS)
def test_d05_to_d15_the_same_way_with_an_honest_change_is_accepted(hospital, name):
    """The control: changed and signed as the attacks above, and nothing wrong in it."""
    mmar = hospital.mmar(sign=False)
    before = hospital.digest(mmar)
    HONEST_EDITS[name](hospital, mmar)
    assert hospital.digest(mmar) != before
    hospital.sign(mmar)
    hospital.accepted("site-1", mmar)


def test_d15_a_policy_in_yaml_builds_no_objects(hospital, tmp_path):
    """A project file with a tag that would call something: refused, and nothing is called."""
    project = tmp_path / "project.yml"
    for text, code in (
        (f"name: !!python/object/apply:os.system ['touch {hospital.canary}']\n", 2),
        (f"name: &a ['x']\nserver: !!python/name:os.system\nx: {'*a ' * 3}\n", 2),
    ):
        project.write_text(text)
        ended = hospital.command("provision", project, "--out", tmp_path / "made", "--json")
        assert ended.code == code, ended.out
        assert not hospital.canary.exists()
        assert not (tmp_path / "made").exists()
