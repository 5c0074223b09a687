# SPDX-License-Identifier: Apache-2.0
"""Attacks on signed MMARs, tried on the commands; each beside an honest call."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmar_runner.cli.main import main
from mmar_runner.security.kits.files import KIT_TYPE
from mmar_runner.security.pki.envelope import key_id, read_envelope, sign
from mmar_runner.security.pki.keys import load_private_key
from mmar_runner.security.pki.revocation import REVOCATIONS_TYPE, RevocationList, sign_revocations
from mmar_runner.security.signatures.manifest import MMAR_TYPE
from mmar_runner.testing.kits import make_kits

ROOT = Path(__file__).resolve().parents[2]
DAY = timedelta(days=1)
ADA, BOB = "ada@uni.org", "bob@clinic.org"
SITES = ("site-1", "site-2")
LEAD = dict.fromkeys(("deploy_all", "train_all", "view_all", "operate_all"), True)
AUTHORIZATION = {
    "version": "1.0",
    "roles": {"lead": "leads a project"},
    "groups": {
        "all": {
            "desc": "everybody",
            "role_rights": {"lead": LEAD},
            "rules": {"allow_byoc": True, "allow_custom_datalist": True},
        }
    },
    "users": {
        ADA: {"org": "uni", "roles": ["lead"]},
        BOB: {"org": "clinic", "roles": ["lead"]},
    },
    "orgs": {"uni": ["all"], "clinic": ["all"]},
    "sites": {"server": "uni", "site-1": "clinic", "site-2": "uni"},
}
ORGS = {**AUTHORIZATION["sites"], ADA: "uni", BOB: "clinic"}


class Project:
    """A provisioned project, and what its authority may still do."""

    def __init__(self, folder, name="heart"):
        self.name = name
        kits = make_kits(
            folder,
            clients=SITES,
            admins=(ADA, BOB),
            project=name,
            orgs=ORGS,
            authorization=AUTHORIZATION,
        )
        self.folder = kits.out
        self.project_file = kits.project_file

    def kit(self, name):
        return self.folder / name

    def key(self, name):
        return load_private_key(self.folder / name)

    def release_id(self, who):
        return key_id(self.key(f"{who}/release.key").public_key())

    def revoke(self, version=100, **changes):
        """Bring a newer list of revocations to every kit, as the authority would."""
        now = datetime.now(UTC)
        times = {"created": now - DAY, "expires": now + DAY, "version": version}
        revocations = RevocationList(**{"project": self.name, **times, **changes})
        data = sign_revocations(revocations, self.key("authority/root.key"))
        for file in self.folder.glob("*/revocations.json"):
            file.write_bytes(data)

    def policy(self, site, **rules):
        path = self.kit(site) / "site_policy.json"
        path.write_text(json.dumps({"version": 1, **rules}))


@dataclass
class Cli:
    """The commands, as a person calls them."""

    project: Project
    capsys: pytest.CaptureFixture
    mmar: Path

    def call(self, *arguments):
        with pytest.raises(SystemExit) as caught:
            main([*map(str, arguments), "--json"])
        return caught.value.code, json.loads(self.capsys.readouterr().out)

    def sign(self, who=ADA, *options, mmar=None):
        kit = self.project.kit(who)
        code, answer = self.call("sign-mmar", mmar or self.mmar, "--kit", kit, *options)
        assert code == 0, answer
        return answer

    def verify(self, site="site-1", *options, mmar=None, project=None):
        """Return the reasons of the refusals, of a site that judges what came by network."""
        kit = (project or self.project).kit(site)
        origin = [] if "--local" in options else ["--delivered"]
        code, answer = self.call("verify-mmar", mmar or self.mmar, "--kit", kit, *origin)
        if "error" in answer:
            assert code == 1
            return [answer["error"]["reason"]]
        reasons = [step["reason"] for step in answer["steps"] if not step["accepted"]]
        assert answer["errors"] == [] or reasons
        assert (code, answer["accepted"]) == ((1, False) if reasons else (0, True))
        self.steps = answer["steps"]
        return reasons

    @property
    def envelope(self):
        return self.mmar / "signature.json"

    def sign_by_hand(self, key, payload_type=MMAR_TYPE, payload=None):
        """Sign the present manifest with any key, as an attacker would."""
        present = read_envelope(self.envelope.read_bytes())
        envelope = sign(payload_type, payload or present.payload, [key])
        self.envelope.write_bytes(envelope.to_json())


@pytest.fixture(scope="module")
def provisioned(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("heart"))


@pytest.fixture
def cli(provisioned, tmp_path, capsys):
    kits = tmp_path / "kits"
    shutil.copytree(provisioned.folder, kits)
    project = Project.__new__(Project)
    project.__dict__.update(provisioned.__dict__, folder=kits)
    mmar = tmp_path / "echo"
    shutil.copytree(ROOT / "mmars" / "echo", mmar, ignore=shutil.ignore_patterns("__pycache__"))
    (mmar / "models").mkdir(exist_ok=True)
    (mmar / "models" / "start.safetensors").write_bytes(b"\x00" * 64)
    (mmar / ".gitkeep").write_text("")
    return Cli(project, capsys, mmar)


def test_an_honestly_signed_mmar_is_accepted_everywhere(cli):
    signed = cli.sign()

    assert (signed["version"], signed["signers"], signed["added"]) == (1, [ADA], False)
    for site in ("site-1", "site-2", "localhost"):
        assert cli.verify(site) == []


def test_d10_each_file_in_turn_changed_by_one_byte_is_named(cli):
    cli.sign()
    files = [path for path in cli.mmar.rglob("*") if path.is_file() and path != cli.envelope]
    for path in files:
        honest = path.read_bytes()
        path.write_bytes(bytes([honest[0] ^ 1]) + honest[1:] if honest else b"x")

        assert "MANIFEST_MISMATCH" in cli.verify()
        assert str(path.relative_to(cli.mmar)) in str(cli.steps)
        path.write_bytes(honest)
    assert cli.verify() == []


def _add(mmar):
    (mmar / "docs").mkdir(exist_ok=True)
    (mmar / "docs" / "more.txt").write_text("x")
    return "Not signed: docs/more.txt"


def _add_hidden(mmar):
    (mmar / ".hidden.txt").write_text("x")
    return "Not signed: .hidden.txt"


def _add_model(mmar):
    (mmar / "models" / "other.pt").write_bytes(b"x")
    return "Not signed: models/other.pt"


def _delete(mmar):
    (mmar / "models" / "start.safetensors").unlink()
    return "Signed, and missing: models/start.safetensors"


def _swap(mmar):
    first, second = mmar / ".gitkeep", mmar / "models" / "start.safetensors"
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)
    return "Changed since it was signed: .gitkeep, models/start.safetensors"


def _rename(mmar):
    (mmar / "models" / "start.safetensors").rename(mmar / "models" / "begin.safetensors")
    return "Signed, and missing: models/start.safetensors"


def _rename_in_case(mmar):
    (mmar / "models" / "start.safetensors").rename(mmar / "models" / "Start.safetensors")
    return "Signed, and missing: models/start.safetensors"


def _move(mmar):
    (mmar / "models" / "start.safetensors").rename(mmar / "start.safetensors")
    return "Signed, and missing: models/start.safetensors"


@pytest.mark.parametrize(
    "change",
    [_add, _add_hidden, _add_model, _delete, _swap, _rename, _rename_in_case, _move],
    ids=lambda change: change.__name__.strip("_"),
)
def test_d10_what_is_not_the_signed_set_of_files_is_refused_by_name(cli, change):
    cli.sign()
    assert cli.verify() == []

    named = change(cli.mmar)

    assert set(cli.verify()) == {"MANIFEST_MISMATCH"}
    assert named in str(cli.steps)


def test_d10_a_name_in_decomposed_unicode_is_not_the_composed_one(cli):
    composed, decomposed = (cli.mmar / "models" / f"{name}.pt" for name in ("\xe9", "e\u0301"))
    composed.write_bytes(b"x")
    cli.sign()
    assert cli.verify() == []

    composed.rename(decomposed)

    assert cli.verify() == ["MANIFEST_MISMATCH"]


def test_d10_a_link_that_leaves_fits_no_signature(cli, tmp_path):
    cli.sign()
    (tmp_path / "outside.txt").write_text("x")
    (cli.mmar / "link.txt").symlink_to(tmp_path / "outside.txt")

    assert cli.verify() == ["MANIFEST_MISMATCH"]


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


@given(data=st.data())
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_one_changed_byte_of_a_file_or_of_the_signed_payload_is_refused(cli, data):
    if not cli.envelope.exists():
        cli.sign()
        assert cli.verify() == []
    honest = cli.envelope.read_bytes()
    start = honest.index(b'"payload": "') + len(b'"payload": "')
    end = honest.index(b'"', start)
    files = sorted(path for path in cli.mmar.rglob("*") if path.is_file() and path.stat().st_size)
    path = data.draw(st.sampled_from(files))
    before = path.read_bytes()
    first, last = (start, end - 1) if path == cli.envelope else (0, len(before) - 1)
    position = data.draw(st.integers(first, last))
    byte = data.draw(st.integers(0, 255).filter(lambda b: b != before[position]))
    path.write_bytes(before[:position] + bytes([byte]) + before[position + 1 :])
    try:
        assert cli.verify()
    finally:
        path.write_bytes(before)


def test_hidden_and_left_over_files_that_are_signed_are_named(cli):
    cache = cli.mmar / "custom" / "__pycache__"
    cache.mkdir(parents=True)
    stray = [".DS_Store", "Thumbs.db", "config/x.json~", "custom/__pycache__/x.pyc"]
    for name in stray:
        (cli.mmar / name).write_text("")
    with pytest.raises(SystemExit) as caught:
        main(["sign-mmar", str(cli.mmar), "--kit", str(cli.project.kit(ADA))])
    assert caught.value.code == 0
    names = ", ".join([".DS_Store", ".gitkeep", *stray[1:]])
    told = f"hidden or left-over files are part of what is signed: {names}"
    assert told in cli.capsys.readouterr().out
    assert cli.sign()["stray"] == [".DS_Store", ".gitkeep", *stray[1:]]
