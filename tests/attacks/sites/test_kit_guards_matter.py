# SPDX-License-Identifier: Apache-2.0
"""Each look at a start-up kit, replaced: then a kit is taken that nobody should take."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mmar_runner.errors import CertificateError, KitError, SignatureError
from mmar_runner.security.identity import Role
from mmar_runner.security.kits import folders
from mmar_runner.security.kits import kit as kits
from mmar_runner.security.kits.files import KIT_FILES
from mmar_runner.security.kits.kit import load_kit
from mmar_runner.security.pki import keys
from mmar_runner.security.pki.keys import load_private_key
from mmar_runner.security.pki.revocation import (
    RevocationMemory,
    read_revocations,
    sign_revocations,
)


def loaded(folder):
    return load_kit(folder, Role.CLIENT, now=datetime.now(UTC))


def refused(folder, error=KitError):
    """Return why a kit is not taken."""
    with pytest.raises(error) as caught:
        loaded(folder)
    return caught.value.reason


def test_e10_the_signature_of_a_kit(hospital, monkeypatch):
    """Whoever writes to a kit sends its site to a server of their own."""
    folder = hospital.kit("site-1")
    honest = loaded(folder).target
    path = folder / KIT_FILES[Role.CLIENT].config
    path.write_text(path.read_text().replace(honest, "evil.example:1"))
    assert refused(folder) == "KIT_ALTERED"

    def unsigned(folder, _root, identity):
        return {name: (folder / name).read_bytes() for name in KIT_FILES[identity.role].signed}

    monkeypatch.setattr(kits, "signed_files", unsigned)
    assert loaded(folder).target == "evil.example:1"


def test_e10_a_key_that_others_read(hospital, monkeypatch):
    folder = hospital.kit("site-1")
    (folder / KIT_FILES[Role.CLIENT].key).chmod(0o644)
    assert refused(folder) == "KEY_READABLE"
    monkeypatch.setattr(keys, "_check_private", lambda path, status: None)
    assert loaded(folder).identity.name == "site-1"


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")
@pytest.mark.parametrize(
    ("name", "reason", "module"),
    [("rootCA.pem", "KIT_WRITABLE", folders), ("client.key", "KEY_READABLE", keys)],
)
def test_e10_the_owner_of_a_file(hospital, monkeypatch, name, reason, module):
    folder = hospital.kit("site-1")
    os.chown(folder / name, 4711, -1)
    assert refused(folder) == reason
    monkeypatch.setattr(module, "is_ours", lambda status: True)
    assert loaded(folder).identity.name == "site-1"


@pytest.fixture
def offered(hospital):
    """Sign a list of revocations that follows the kits' own."""

    def sign(version, *serials):
        authority = load_private_key(hospital.kits.out / "authority" / "root.key")
        kit = loaded(hospital.kit("site-1"))
        own = read_revocations(kit.revocations.read_bytes(), kit.root_file.read_bytes())
        return sign_revocations(replace(own, version=version, serials=serials), authority)

    return sign


def test_a04_a_site_that_is_revoked(hospital, offered, monkeypatch):
    folder = hospital.kit("site-1")
    kit = loaded(folder)
    kit.revocation_memory().offer(offered(9, kit.certificate.serial))
    assert refused(folder, CertificateError) == "CERT_REVOKED"
    monkeypatch.setattr(kits, "_check_not_revoked", lambda kit: None)
    assert loaded(folder).identity.name == "site-1"


def test_a04_the_memory_of_a_newer_list(hospital, offered, tmp_path):
    """An older list takes a revocation back where nobody remembers the newer one."""
    kit = loaded(hospital.kit("site-1"))
    (tmp_path / "elsewhere").mkdir()
    forgetful = RevocationMemory(
        kit.revocations, tmp_path / "elsewhere", kit.root_file.read_bytes()
    )
    older, newer = offered(8), offered(9, "77")
    kit.revocation_memory().offer(newer)
    with pytest.raises(SignatureError) as caught:
        kit.revocation_memory().offer(older)
    assert caught.value.reason == "VERSION_ROLLBACK"
    assert kit.revocation_memory().current.revokes_certificate("77")
    assert forgetful.offer(older)
    assert not forgetful.current.revokes_certificate("77")
