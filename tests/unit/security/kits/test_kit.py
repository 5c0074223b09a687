# SPDX-License-Identifier: Apache-2.0
"""A kit as a whole: its files, its keys, its signature, its time."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime, timedelta

import pytest

from mmar_runner.errors import CertificateError, KitError, SignatureError, StorageError
from mmar_runner.security.identity import Identity, Role
from mmar_runner.security.kits.files import KIT_FILES, sign_files
from mmar_runner.security.pki.keys import (
    load_private_key,
    new_release_key,
    new_tls_key,
    save_private_key,
)
from mmar_runner.security.provisioning.calls import renew, revoke
from mmar_runner.security.provisioning.revocation_issue import ToRevoke
from mmar_runner.testing.kits import make_kits
from tests.unit.security.kits.loading import FOLDERS, LEAD, load, refused


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    return make_kits(tmp_path_factory.mktemp("other"), clients=("site-1",))


@pytest.mark.parametrize("role", Role)
def test_a_kit_says_who_somebody_is_and_whom_it_trusts(kits, role):
    folder = kits.out / FOLDERS[role]
    kit = load(folder, role)

    assert kit.identity == Identity("demo", role, FOLDERS[role])
    assert kit.certificate.identity == kit.identity
    assert [key.owner for key in kit.trust_root.release_keys] == [LEAD]
    assert kit.trust_root.project == "demo"
    assert {kit.cert_file.parent, kit.key_file.parent, kit.root_file.parent} == {folder}
    assert json.loads(kit.authorization.read_bytes())["sites"]["site-1"] == "org-site-1"
    assert kit.target == "localhost:8002"
    told = role in {Role.SERVER, Role.ADMIN}
    assert kit.admin_target == ("localhost:8003" if told else None)
    assert kit.own_target == ("localhost:9002" if role is Role.COMBINER else None)
    assert (kit.policy is None) == (role is Role.ADMIN)
    assert (kit.release_key_file is None) == (role is not Role.ADMIN)
    assert kit.revocation_memory().current.version == 1


def test_a_root_that_goes_away_later_is_a_fault_of_storage_that_names_it(kits):
    kit = load(kits.client("site-1"))
    kit.root_file.unlink()

    with pytest.raises(StorageError, match=r"rootCA\.pem: No such file"):
        kit.revocation_memory()


def test_what_a_site_remembers_is_for_its_own_eyes(kits):
    kit = load(kits.client("site-1"))

    assert kit.state_folder.stat().st_mode & 0o777 == 0o700
    assert kit.state_folder == kit.folder / "state"
    assert load(kits.client("site-1")).state_folder == kit.state_folder


@pytest.mark.parametrize("role", Role)
def test_every_file_that_is_needed_is_missed(kits, role):
    folder = kits.out / FOLDERS[role]
    for name in KIT_FILES[role].required:
        content = (folder / name).read_bytes()
        (folder / name).unlink()
        error = refused(KitError, folder, role)
        assert (error.reason, name in error.message) == ("KIT_INCOMPLETE", True)
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)
    load(folder, role)


@pytest.mark.parametrize("role", Role)
def test_every_signed_file_that_was_altered_is_named(kits, role):
    folder = kits.out / FOLDERS[role]
    for name in set(KIT_FILES[role].signed) - {"rootCA.pem"}:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content + b"\n")
        error = refused(KitError, folder, role)
        assert (error.reason, f"{folder / name} is not as" in error.message) == (
            "KIT_ALTERED",
            True,
        )
        (folder / name).write_bytes(content)
    load(folder, role)


def test_what_a_site_owns_and_other_files_may_change(kits):
    folder = kits.client("site-1")
    (folder / "site_policy.json").write_text('{"version": 1, "byoc": "allow"}')
    (folder / "readme.txt").unlink()
    (folder / "notes.txt").write_text("mine")

    load(folder)


def test_signed_files_of_another_site_are_refused(kits):
    mine, yours = kits.client("site-1"), kits.client("site-2")
    for name in ("fed_client.json", "signature.json"):
        shutil.copy(yours / name, mine / name)
    error = refused(KitError, mine)

    assert error.reason == "KIT_ALTERED"
    assert "spiffe://demo/client/site-2" in error.message


@pytest.mark.parametrize("content", [b"", b"{}", b'{"payloadType": 1}'], ids=range(3))
def test_a_signature_that_is_none_is_refused(kits, content):
    (kits.client("site-1") / "signature.json").write_bytes(content)

    assert refused(KitError, kits.client("site-1")).reason == "KIT_ALTERED"


def test_a_list_of_revocations_is_no_signature_of_a_kit(kits):
    folder = kits.client("site-1")
    shutil.copy(folder / "revocations.json", folder / "signature.json")

    assert refused(KitError, folder).reason == "KIT_ALTERED"


@pytest.mark.parametrize("name", [".", "site_policy.json", "trust.json", "revocations.json"])
@pytest.mark.parametrize("bit", [0o020, 0o002], ids=["group", "others"])
def test_a_kit_that_others_can_change_is_refused(kits, name, bit):
    folder = kits.out / FOLDERS[Role.CLIENT]
    path = folder / name
    path.chmod(path.stat().st_mode | bit)
    error = refused(KitError, folder)

    assert error.reason == "KIT_WRITABLE"
    assert "chmod go-w" in error.hint


@pytest.mark.parametrize(
    ("role", "name"),
    [(Role.SERVER, "server.key"), (Role.CLIENT, "client.key"), (Role.ADMIN, "release.key")],
)
def test_a_key_that_others_can_read_is_refused(kits, role, name):
    folder = kits.out / FOLDERS[role]
    (folder / name).chmod(0o644)
    error = refused(KitError, folder, role)

    assert error.reason == "KEY_READABLE"
    assert f"chmod 600 {folder / name}" in error.hint


@pytest.mark.parametrize("name", ["root.key", "innocent.txt", "client.key"])
def test_the_authoritys_key_has_no_place_in_a_kit(kits, name):
    folder = kits.client("site-1")
    shutil.copy(kits.out / "authority" / "root.key", folder / name)
    error = refused(KitError, folder)

    assert error.reason == "KIT_AUTHORITY_KEY"
    assert name in error.message


def test_another_key_than_the_certificates_is_refused(kits):
    folder = kits.client("site-1")
    shutil.copy(kits.client("site-2") / "client.key", folder / "client.key")

    assert refused(KitError, folder).reason == "KIT_KEY_MISMATCH"


def test_a_key_for_something_else_is_refused(kits):
    folder = kits.client("site-1")
    (folder / "client.key").unlink()
    save_private_key(folder / "client.key", new_release_key())

    assert refused(KitError, folder).reason == "KEY_FORMAT"


def test_a_release_key_for_something_else_is_refused(kits):
    folder = kits.admin(LEAD)
    (folder / "release.key").unlink()
    save_private_key(folder / "release.key", new_tls_key())

    assert refused(KitError, folder, Role.ADMIN).reason == "KEY_FORMAT"


def test_a_key_of_another_kind_beside_ones_own_is_no_trouble_unless_others_read_it(kits):
    other = kits.client("site-1") / "ssh.pem"
    other.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----")
    other.chmod(0o600)
    load(other.parent)

    other.chmod(0o644)
    assert refused(KitError, other.parent).reason == "KEY_READABLE"


def test_a_configuration_that_is_none_is_refused_whoever_signed_it(kits):
    folder, files = kits.client("site-1"), KIT_FILES[Role.CLIENT]
    (folder / "fed_client.json").write_text("{")
    signed = {name: (folder / name).read_bytes() for name in files.signed}
    root_key = load_private_key(kits.out / "authority" / "root.key")
    identity = Identity("demo", Role.CLIENT, "site-1")
    (folder / "signature.json").write_bytes(sign_files(signed, identity, root_key))
    error = refused(KitError, folder)

    assert error.reason == "KIT_ALTERED"
    assert error.message.startswith("the kit's configuration ")


def test_one_more_key_of_ones_own_is_no_trouble(kits):
    save_private_key(kits.client("site-1") / "mine.key", new_tls_key())

    load(kits.client("site-1"))


def test_the_certificate_of_another_role_does_not_help(kits):
    folder = kits.client("site-1")
    for name in ("client.crt", "client.key"):
        shutil.copy(kits.admin(LEAD) / name, folder / name)

    assert refused(KitError, folder).reason == "KIT_ROLE"


@pytest.mark.parametrize("name", ["client.crt", "rootCA.pem"])
def test_a_certificate_of_another_authority_is_refused(kits, others, name):
    shutil.copy(others.client("site-1") / name, kits.client("site-1") / name)

    assert refused(CertificateError, kits.client("site-1")).reason == "CERT_AUTHORITY"


def test_trusting_another_authority_takes_all_its_files(kits, others):
    """Another project's files are whole in themselves, and so are not a mixture."""
    folder = kits.client("site-1")
    for path in others.client("site-1").iterdir():
        if path.suffix != ".key":
            shutil.copy(path, folder)

    assert refused(KitError, folder).reason == "KIT_KEY_MISMATCH"


def test_outside_its_time_a_kit_is_refused(kits):
    folder = kits.client("site-1")

    assert refused(CertificateError, folder, days=366).reason == "CERT_EXPIRED"
    assert refused(CertificateError, folder, days=-1).reason == "CERT_NOT_YET_VALID"
    assert refused(CertificateError, folder, days=20 * 365).reason == "CERT_EXPIRED"
    load(folder, days=364)


def test_a_renewed_certificate_fits_the_kit(kits):
    renew(kits.project_file, kits.out, ("site-1",), now=datetime.now(UTC), life=timedelta(400))

    load(kits.client("site-1"), days=390)
    assert refused(CertificateError, kits.client("site-2"), days=390).reason == "CERT_EXPIRED"


def test_a_revoked_kit_is_refused_and_the_others_hold(kits):
    revoke(kits.project_file, kits.out, ToRevoke(("site-1",)), now=datetime.now(UTC))

    assert refused(CertificateError, kits.client("site-1")).reason == "CERT_REVOKED"
    load(kits.client("site-2"))


def test_an_older_list_brings_nobody_back(kits):
    folder = kits.client("site-1")
    old = (folder / "revocations.json").read_bytes()
    kit = load(folder)
    revoke(kits.project_file, kits.out, ToRevoke(("site-1",)), now=datetime.now(UTC))
    assert kit.revocation_memory().offer((folder / "revocations.json").read_bytes()) is False
    kit.state_folder.joinpath("revocations.json").write_bytes(
        (folder / "revocations.json").read_bytes()
    )
    (folder / "revocations.json").write_bytes(old)

    assert refused(CertificateError, folder).reason == "CERT_REVOKED"


def test_a_list_of_another_authority_is_refused(kits, others):
    shutil.copy(others.server / "revocations.json", kits.client("site-1"))

    assert refused(SignatureError, kits.client("site-1")).reason == "SIGNER_NOT_TRUSTED"


def test_what_is_no_folder_is_no_kit(tmp_path):
    for folder in (tmp_path / "none", tmp_path):
        assert refused(KitError, folder).reason == "KIT_INCOMPLETE"


def test_a_pipe_in_a_kit_holds_nobody_up(kits):
    os.mkfifo(kits.client("site-1") / "pipe")

    load(kits.client("site-1"))


def test_another_projects_list_of_revocations_is_named(kits, others):
    path = kits.client("site-1") / "revocations.json"
    shutil.copy(others.client("site-1") / "revocations.json", path)
    error = refused(SignatureError, kits.client("site-1"))

    assert error.reason == "SIGNER_NOT_TRUSTED"
    assert str(path) in error.message
    assert error.hint
