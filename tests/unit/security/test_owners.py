# SPDX-License-Identifier: Apache-2.0
"""What belongs to another user is used by nobody here, whatever its permission bits."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime

import pytest

from mmar_runner.errors import KitError
from mmar_runner.security.identity import Identity, Role
from mmar_runner.security.kits.kit import load_kit
from mmar_runner.security.provisioning.calls import provision
from mmar_runner.security.provisioning.own_keys import make_own_keys
from mmar_runner.testing.kits import make_kits

STRANGER = 1234
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")


@pytest.fixture
def kits(tmp_path):
    made = make_kits(tmp_path / "p", clients=("site-1",))
    load(made)
    return made


def load(kits):
    return load_kit(kits.client("site-1"), Role.CLIENT, now=datetime.now(UTC))


def make(kits, out):
    return provision(kits.project_file, out, now=datetime.now(UTC))


def give_away(path):
    for below in (path, *path.rglob("*")) if path.is_dir() else (path,):
        os.chown(below, STRANGER, STRANGER)


def refused(call, *arguments):
    with pytest.raises(KitError) as caught:
        call(*arguments)
    assert caught.value.hint
    return caught.value


@needs_root
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        *((name, "KIT_WRITABLE") for name in (".", "site_policy.json", "trust.json", "state")),
        ("client.key", "KEY_READABLE"),
    ],
)
def test_a_kit_that_another_user_owns_is_refused(kits, name, reason):
    path = kits.client("site-1") / name
    os.chown(path, STRANGER, STRANGER)
    error = refused(load, kits)

    assert error.reason == reason
    assert f"user id {STRANGER}" in error.message
    assert str(path) in error.message


@pytest.mark.parametrize("target", ["there", "gone"])
def test_a_policy_that_is_a_link_is_refused(kits, tmp_path, target):
    """Whoever can change the folder it leads to says what may run here."""
    policy, public = kits.client("site-1") / "site_policy.json", tmp_path / "public"
    public.mkdir()
    public.chmod(0o777)
    policy.rename(public / "there")
    policy.symlink_to(public / target)

    error = refused(load, kits)
    assert error.reason == "KIT_LINK"
    assert str(policy) in error.message


@needs_root
def test_no_authority_of_somebody_else_is_adopted(kits, tmp_path):
    office = tmp_path / "office"
    office.mkdir()
    office.chmod(0o1777)
    (office / "authority").mkdir(mode=0o700)
    for name in ("root.key", "rootCA.pem"):
        shutil.copy(kits.out / "authority" / name, office / "authority")
    give_away(office / "authority")

    assert refused(make, kits, office).reason == "KIT_WRITABLE"
    assert [path.name for path in office.iterdir()] == ["authority"]


@needs_root
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("root.key", "KEY_EXISTS"),
        *((name, "KIT_WRITABLE") for name in ("rootCA.pem", "state.json", "revocations.json")),
    ],
)
def test_a_file_of_the_authority_that_another_user_owns_is_refused(kits, name, reason):
    os.chown(kits.out / "authority" / name, STRANGER, STRANGER)

    assert refused(make, kits, kits.out).reason == reason


@needs_root
def test_a_kit_is_not_written_into_another_users_folder(kits, tmp_path):
    (tmp_path / "office" / "site-1").mkdir(parents=True, mode=0o700)
    os.chown(tmp_path / "office" / "site-1", STRANGER, STRANGER)

    assert refused(make, kits, tmp_path / "office").reason == "KIT_WRITABLE"
    assert list((tmp_path / "office" / "site-1").iterdir()) == []


@needs_root
def test_kits_are_not_written_where_another_user_can_exchange_them(kits, tmp_path):
    (tmp_path / "office").mkdir(mode=0o1755)
    os.chown(tmp_path / "office", STRANGER, STRANGER)

    assert refused(make, kits, tmp_path / "office").reason == "KIT_WRITABLE"
    assert list((tmp_path / "office").iterdir()) == []


@pytest.mark.parametrize("bits", [0o777, 0o775], ids=oct)
def test_kits_and_keys_are_not_made_where_others_can_exchange_them(kits, tmp_path, bits):
    office = tmp_path / "office"
    office.mkdir()
    office.chmod(bits)
    site = Identity("demo", Role.CLIENT, "site-2")

    error = refused(make, kits, office)
    assert error.reason == "KIT_WRITABLE"
    assert f"chmod go-w {office}" in error.hint
    assert refused(make_own_keys, site, office).reason == "KIT_WRITABLE"
    assert list(office.iterdir()) == []


def test_kits_may_lie_where_nobody_can_exchange_them_although_others_write_there(kits, tmp_path):
    office = tmp_path / "office"
    office.mkdir()
    office.chmod(0o1777)

    assert make(kits, office).outcomes
