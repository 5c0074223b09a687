# SPDX-License-Identifier: Apache-2.0
"""D05 to D15: folders that hide code, name what they must not, or are not what was signed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from mmar_runner.security.kits.files import KIT_TYPE
from mmar_runner.security.pki.envelope import key_id, read_envelope, sign
from mmar_runner.security.pki.keys import load_private_key
from mmar_runner.security.pki.revocation import read_revocations, sign_revocations
from mmar_runner.security.signatures.manifest import MMAR_TYPE

LEAD, SECOND = "lead@uni.org", "second@clinic.org"
CLIENT, SERVER = "config_fed_client.json", "config_fed_server.json"

HIDDEN = [
    "config/x.py",
    "config/x.json.py",
    "resources/x.pth",
    "resources/x.so",
    "config/__pycache__/x.cpython-311.pyc",
    "sitecustomize.py",
    "conftest.py",
    "docs/work.ipynb",
    "resources/run",
    "models/x.py",
    "Custom/x.py",
    "CUSTOM/x.PY",
    ".hidden/x.py",
    "custom/data.json",
    "resources/x.pkl",
    "resources/x.zip",
    "resources/x.json ",
    "resources/.json",
]


@pytest.mark.parametrize("file", HIDDEN, ids=ascii)
def test_d05_code_wherever_it_hides_needs_the_sites_consent(hospital, file):
    mmar = hospital.mmar(sign=False)
    hospital.plant(mmar, file)
    hospital.sign(mmar)
    error = hospital.refused("site-1", mmar, "BYOC_NOT_ALLOWED")
    assert "code" in error["message"]


def test_d05_the_same_code_runs_where_the_site_accepted_its_digest(hospital):
    mmar = hospital.mmar(code="custom/nets.py")
    hospital.refused("site-1", mmar, "BYOC_NOT_ALLOWED")
    hospital.policy("site-1", byoc="digest", accepted_digests=[hospital.digest(mmar)])
    hospital.accepted("site-1", mmar)


def trainer(**declaration: object) -> dict[str, object]:
    return {"client_trainer": declaration}


CLASSES = ["os.system", "subprocess.Popen", "builtins.eval", "importlib.import_module"]


@pytest.mark.parametrize("dotted", CLASSES)
def test_d06_a_component_that_is_no_component_is_refused(hospital, dotted):
    mmar = hospital.mmar(sign=False)
    hospital.edit(mmar, CLIENT, **trainer(path=dotted, args={"command": "true"}))
    hospital.sign(mmar)
    hospital.refused("site-1", mmar, "COMPONENT_NOT_ALLOWED")


def test_d06_a_class_that_is_not_allowed_is_not_even_imported(hospital, monkeypatch):
    """It lies where Python finds it; importing it makes the canary."""
    elsewhere = hospital.folder / "elsewhere"
    hospital.plant(elsewhere, "canary_of_d06.py")
    with (elsewhere / "canary_of_d06.py").open("a") as module:
        module.write("class Trainer: ...\n")
    monkeypatch.setenv("PYTHONPATH", str(elsewhere))
    mmar = hospital.mmar(sign=False)
    hospital.edit(mmar, CLIENT, **trainer(path="canary_of_d06.Trainer"))
    hospital.sign(mmar)
    hospital.refused("site-1", mmar, "COMPONENT_NOT_ALLOWED")  # and there is no canary

    subprocess.run([sys.executable, "-c", "import canary_of_d06"], check=True)
    assert hospital.canary.exists()


def nested(kind: str) -> object:
    bad = {"path": "os.system", "args": {}}
    return {
        "list": [[{"deep": [bad]}]],
        "dict_of_dicts": {"a": {"b": {"c": bad}}},
        "deep": {"x": [{"y": {"z": [{"inner": bad}]}}]},
    }[kind]


@pytest.mark.parametrize("kind", ["list", "dict_of_dicts", "deep"])
@pytest.mark.parametrize("where", ["args", "filters"])
def test_d08_a_bad_component_is_refused_at_any_depth_and_its_place_is_named(hospital, kind, where):
    mmar = hospital.mmar(sign=False)
    path = mmar / "config" / CLIENT
    value = json.loads(path.read_text())
    if where == "args":
        value["client_trainer"]["args"]["loss"] = nested(kind)
    else:
        value["client"]["outbound_filters"] = [{"name": "Any", "args": {"x": nested(kind)}}]
    path.write_text(json.dumps(value))
    hospital.sign(mmar)
    hospital.refused("site-1", mmar, "COMPONENT_NOT_ALLOWED")
    answer = explained(hospital, mmar)
    (bad,) = [one for one in answer["steps"] if one["reason"] == "COMPONENT_NOT_ALLOWED"]
    assert bad["subject"]["file"] == f"config/{CLIENT}"
    assert bad["subject"]["pointer"].endswith("/path")


def explained(hospital, mmar: Path, site: str = "site-1") -> dict:
    ended = hospital.command("policy", "explain", mmar, "--kit", hospital.kit(site), "--json")
    return ended.answer


ARGUMENTS = ["../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "https://evil.org/x", "~/x"]


@pytest.mark.parametrize("text", ARGUMENTS)
def test_d09_an_argument_that_leads_out_is_refused(hospital, text):
    mmar = hospital.mmar(sign=False)
    path = mmar / "config" / CLIENT
    value = json.loads(path.read_text())
    value["client_trainer"]["args"]["behaviour"] = text
    path.write_text(json.dumps(value))
    hospital.sign(mmar)
    hospital.refused("site-1", mmar, "PATH_ARGUMENT")


def flip(mmar: Path) -> str:
    path = mmar / "docs" / "Readme.md"
    data = path.read_bytes()
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    return "Changed since it was signed: docs/Readme.md"


def add(mmar: Path) -> str:
    (mmar / "docs" / "more.md").write_text("x")
    return "Not signed: docs/more.md"


def delete(mmar: Path) -> str:
    (mmar / "docs" / "Readme.md").unlink()
    return "Signed, and missing: docs/Readme.md"


def rename(mmar: Path) -> str:
    (mmar / "docs" / "Readme.md").rename(mmar / "docs" / "readme.md")
    return "Signed, and missing: docs/Readme.md"


def swap(mmar: Path) -> str:
    one, two = mmar / "docs" / "Readme.md", mmar / "resources" / "log.config"
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    return "Changed since it was signed: docs/Readme.md, resources/log.config"


def second_signature(mmar: Path) -> str:
    shutil.copy(mmar / "signature.json", mmar / "config" / "signature.json")
    return "Not signed: config/signature.json"


CHANGES: list[Callable[[Path], str]] = [flip, add, delete, rename, swap, second_signature]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_d10_what_is_not_what_was_signed_is_refused_and_named(hospital, change):
    mmar = hospital.mmar()
    named = change(mmar)
    assert named in hospital.refused("site-1", mmar, "MANIFEST_MISMATCH")["message"]


def forged(hospital, mmar: Path, key, kind: str = MMAR_TYPE) -> None:
    payload = read_envelope((mmar / "signature.json").read_bytes()).payload
    (mmar / "signature.json").write_bytes(sign(kind, payload, [key]).to_json())


@pytest.mark.parametrize("key", ["site-1/client.key", "localhost/server.key", f"{LEAD}/client.key"])
def test_d12_a_key_that_is_no_release_key_signs_nothing(hospital, key):
    mmar = hospital.mmar()
    hospital.accepted("site-1", mmar)
    forged(hospital, mmar, load_private_key(hospital.kits.out / key))
    hospital.refused("site-1", mmar, "SIGNER_NOT_TRUSTED")


def test_d12_one_of_two_needed_signatures_and_the_same_key_twice_are_too_few(hospital):
    mmar = hospital.mmar()
    hospital.policy("site-1", signatures={"mmar": 2})
    hospital.refused("site-1", mmar, "THRESHOLD")

    path = mmar / "signature.json"
    value = json.loads(path.read_text())
    first = value["signatures"][0]
    second = key_id(hospital.signer(SECOND).key.public_key())
    path.write_text(json.dumps({**value, "signatures": [first, first, {**first, "keyid": second}]}))
    hospital.refused("site-1", mmar, "THRESHOLD")

    hospital.sign(mmar, SECOND, add=True)
    hospital.accepted("site-1", mmar)


@pytest.mark.parametrize("name", ["revocations.json", "signature.json"])
def test_d12_what_was_signed_as_something_else_is_no_mmar(hospital, name):
    mmar = hospital.mmar()
    shutil.copy(hospital.kit("site-1") / name, mmar / "signature.json")
    hospital.refused("site-1", mmar, "TYPE")


def envelope(**changes: object) -> Callable[[dict], str]:
    return lambda value: json.dumps({**value, **changes})


ENVELOPES: dict[str, tuple[Callable[[dict], str], str]] = {
    "payload_twice": (
        lambda v: json.dumps(v).replace('"payload":', '"payload": "e30=", "payload":'),
        "FORMAT",
    ),
    "payload_in_the_urls_alphabet": (
        lambda v: json.dumps({**v, "payload": v["payload"].rstrip("=") + "-_"}),
        "FORMAT",
    ),
    "payload_without_its_end": (
        lambda v: json.dumps({**v, "payload": v["payload"][:-3] + "\n" + v["payload"][-3:]}),
        "FORMAT",
    ),
    "ten_thousand_signatures": (
        lambda v: json.dumps({**v, "signatures": v["signatures"] * 10_000}),
        "FORMAT",
    ),
    "no_signatures": (envelope(signatures=[]), "FORMAT"),
    "nine_mebibytes": (lambda v: json.dumps(v) + " " * (9 << 20), "FORMAT"),
    "deep": (lambda v: "[" * 100_000, "FORMAT"),
    "byte_order_mark": (lambda v: "\ufeff" + json.dumps(v), "FORMAT"),
    "nothing": (lambda v: "", "FORMAT"),
}


@pytest.mark.parametrize("name", ENVELOPES)
def test_d12_an_envelope_that_plays_tricks_is_refused(hospital, name):
    spoil, reason = ENVELOPES[name]
    mmar = hospital.mmar()
    path = mmar / "signature.json"
    path.write_text(spoil(json.loads(path.read_text())))
    hospital.refused("site-1", mmar, reason)


def test_d12_a_signature_file_that_is_a_folder_is_refused(hospital):
    mmar = hospital.mmar()
    (mmar / "signature.json").unlink()
    (mmar / "signature.json").mkdir()
    (mmar / "signature.json" / "x.json").write_text("{}")
    ended = hospital.run_client("site-1", mmar)
    assert ended.code in {1, 2}, ended.out
    assert hospital.decisions("site-1")[-1:] == [("refused", ended.error["reason"])]


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


def test_d12_a_revoked_release_key_signs_nothing(hospital):
    mmar = hospital.mmar()
    hospital.accepted("site-1", mmar)
    kit = hospital.kit("site-1")
    signer = key_id(hospital.signer().key.public_key())
    authority = load_private_key(hospital.kits.out / "authority" / "root.key")
    root = (kit / "rootCA.pem").read_bytes()
    path = kit / "revocations.json"
    old = read_revocations(path.read_bytes(), root)
    path.write_bytes(
        sign_revocations(replace(old, version=old.version + 1, key_ids=(signer,)), authority)
    )
    ended = hospital.run_client("site-1", mmar)
    assert (ended.code, ended.error["reason"]) == (1, "SIGNER_REVOKED")
    assert hospital.decisions("site-1")[-1] == ("refused", "SIGNER_REVOKED")
    mmar.joinpath("signature.json").unlink()
    hospital.sign(mmar, SECOND)
    hospital.accepted("site-1", mmar)


@pytest.mark.parametrize("value", [1e12, "lambda x: __import__('os').system('id')"])
def test_d09_an_argument_of_the_wrong_kind_is_refused_and_never_evaluated(hospital, value):
    mmar = hospital.mmar(sign=False)
    path = mmar / "config" / CLIENT
    config = json.loads(path.read_text())
    config["client_trainer"]["args"]["behaviour"] = value
    path.write_text(json.dumps(config))
    hospital.sign(mmar)
    hospital.refused("site-1", mmar, "MMAR_INVALID")


def reissued(hospital, site: str, change: Callable[[dict], object]) -> None:
    """Let the project's office give a site a kit with another authorization."""
    kit = hospital.kit(site)
    path = kit / "authorization.json"
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))
    data = path.read_bytes()
    payload = json.loads(read_envelope((kit / "signature.json").read_bytes()).payload)
    (listed,) = [file for file in payload["files"] if file["path"] == path.name]
    listed.update(size=len(data), sha256=sha256(data).hexdigest())
    authority = load_private_key(hospital.kits.out / "authority" / "root.key")
    signed = sign(KIT_TYPE, json.dumps(payload).encode(), [authority])
    (kit / "signature.json").write_bytes(signed.to_json())


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


def test_d12_a_signer_without_the_right_signs_nothing(hospital):
    """The key is known and not revoked; the project's policy gives its owner no role."""
    mmar = hospital.mmar()
    reissued(hospital, "site-1", lambda policy: policy["users"].pop(LEAD))
    hospital.refused("site-1", mmar, "USER_UNKNOWN")
    hospital.sign(mmar, SECOND)
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
