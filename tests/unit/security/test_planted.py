# SPDX-License-Identifier: Apache-2.0
"""Whatever the umask, and whatever somebody put there before: keys stay with their owner."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mmar_runner.errors import KitError
from mmar_runner.security.identity import Identity, Role
from mmar_runner.security.kits.folders import own_folder
from mmar_runner.security.kits.kit import load_kit
from mmar_runner.security.pki.keys import new_tls_key, save_private_key
from mmar_runner.security.provisioning.calls import provision
from mmar_runner.security.provisioning.own_keys import make_own_keys

LEAD = "lead@example.org"
ROLES = {"localhost": Role.SERVER, "site-1": Role.CLIENT, LEAD: Role.ADMIN}
SITE_2 = Identity("lungs", Role.CLIENT, "site-2")
PROJECT = f"""\
name: lungs
server: {{org: university, cn: localhost}}
fl_clients:
  - {{org: north, client_name: site-1}}
admin_clients:
  - {{org: university, email: {LEAD}}}
"""


@pytest.fixture
def make(tmp_path):
    (tmp_path / "project.yml").write_text(PROJECT)
    return lambda: provision(
        tmp_path / "project.yml", tmp_path / "new" / "kits", now=datetime.now(UTC)
    )


@pytest.fixture
def out(tmp_path):
    return tmp_path / "new" / "kits"


@pytest.fixture
def planted(out):
    """Return the kits' folder with what somebody may have put there before."""
    out.mkdir(parents=True)
    (out / "authority").mkdir(mode=0o700)
    (out / "site-1").mkdir(mode=0o700)
    (out.parent / "victim").write_bytes(b"precious")
    return out


def refused(call):
    with pytest.raises(KitError) as caught:
        call()
    assert caught.value.hint
    return caught.value.reason


def mode(path):
    return path.stat().st_mode & 0o777


def descriptors():
    """Return how many files this process holds open."""
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture(params=[0o000, 0o002, 0o077], ids=oct)
def umask(request):
    old = os.umask(request.param)
    yield request.param
    os.umask(old)


@pytest.mark.usefixtures("umask")
def test_kits_are_their_owners_whatever_the_umask(make, out):
    make()

    keys = sorted(out.rglob("*.key"))
    assert len(keys) == 5
    assert {mode(path) for path in keys} == {0o600}
    assert {mode(path.parent) for path in keys} == {0o700}
    assert not {mode(path) & 0o022 for path in (out, out.parent, *out.rglob("*"))} - {0}
    for name, role in ROLES.items():
        kit = load_kit(out / name, role, now=datetime.now(UTC))
        assert mode(kit.state_folder) == 0o700


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux's /proc")
@pytest.mark.parametrize("there", [0o700, 0o755, None], ids=str)
def test_a_folder_of_ones_own_is_tightened_and_not_held_open(tmp_path, there):
    folder, before = tmp_path / "own", descriptors()
    if there is not None:
        folder.mkdir(there)
    own_folder(folder, tighten=True)

    assert mode(folder) == 0o700
    assert descriptors() == before


@pytest.mark.usefixtures("umask")
def test_ones_own_keys_are_ones_own_whatever_the_umask(out):
    folder = make_own_keys(SITE_2, out, new_key=True).parent

    assert mode(folder) == 0o700
    assert mode(folder / "client.key") == 0o600
    assert not {mode(path) & 0o022 for path in (out, *folder.iterdir())} - {0}


# -- folders --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["link", "dangling", "file", "pipe"])
def test_the_state_of_a_kit_is_no_link(make, out, tmp_path, kind):
    make()
    state, elsewhere = out / "site-1" / "state", tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    plant = {
        "link": lambda: state.symlink_to(elsewhere),
        "dangling": lambda: state.symlink_to(tmp_path / "made"),
        "file": lambda: state.write_bytes(b""),
        "pipe": lambda: os.mkfifo(state),
    }
    plant[kind]()

    assert refused(lambda: load_kit(out / "site-1", Role.CLIENT, now=datetime.now(UTC))) == (
        "KIT_LINK"
    )
    assert mode(elsewhere) == 0o755
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("name", ["authority", "site-1"])
def test_a_folder_of_keys_is_no_link(make, planted, tmp_path, name):
    (planted / name).rmdir()
    (tmp_path / "elsewhere").mkdir(mode=0o755)
    (planted / name).symlink_to(tmp_path / "elsewhere")

    assert refused(make) == "KIT_LINK"
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert mode(tmp_path / "elsewhere") == 0o755


@pytest.mark.parametrize("bits", [0o777, 0o770, 0o702], ids=oct)
def test_no_key_is_made_where_others_can_exchange_it(make, planted, bits):
    (planted / "site-1").chmod(bits)

    assert refused(make) == "KIT_WRITABLE"
    assert list((planted / "site-1").iterdir()) == []
    assert mode(planted / "site-1") == bits


def test_the_authoritys_folder_is_closed_to_others(make, planted):
    (planted / "authority").chmod(0o777)
    make()

    assert mode(planted / "authority") == 0o700


def test_a_folder_that_is_there_stays_as_it_is(tmp_path):
    (tmp_path / "kit").mkdir(mode=0o750)
    own_folder(tmp_path / "kit", tighten=False)

    assert mode(tmp_path / "kit") == 0o750


# -- files ----------------------------------------------------------------------------------


def plant(kind, path, victim, made):
    {
        "symlink": lambda: path.symlink_to(victim),
        "dangling": lambda: path.symlink_to(made),
        "hard link": lambda: path.hardlink_to(victim),
        "pipe": lambda: os.mkfifo(path),
    }[kind]()


@pytest.mark.parametrize("kind", ["symlink", "dangling", "hard link", "pipe"])
def test_a_planted_lock_is_not_taken(make, planted, tmp_path, kind):
    victim = planted.parent / "victim"
    plant(kind, planted / "authority" / "lock", victim, tmp_path / "made")

    assert refused(make) == "KIT_LINK"
    assert victim.read_bytes() == b"precious"
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("place", ["site-1/client.key", "authority/root.key"])
@pytest.mark.parametrize("kind", ["symlink", "dangling", "pipe"])
def test_what_was_planted_in_a_keys_place_is_not_followed(make, planted, tmp_path, place, kind):
    """Not even if it is a sound key: somebody else knows it."""
    known = tmp_path / "known.key"
    save_private_key(known, new_tls_key())
    content = known.read_bytes()
    plant(kind, planted / place, known, tmp_path / "made")

    assert refused(make) == "KEY_EXISTS"
    assert known.read_bytes() == content
    assert not (tmp_path / "made").exists()
    assert (planted / place).is_symlink() == (kind != "pipe")


@pytest.mark.parametrize("name", ["signature.json", "client.crt", "trust.json", "readme.txt"])
@pytest.mark.parametrize("kind", ["symlink", "pipe"])
def test_a_public_file_of_a_kit_is_put_right_and_not_followed(make, out, tmp_path, name, kind):
    make()
    path, copy = out / "site-1" / name, tmp_path / "copy"
    path.rename(copy)
    before = copy.read_bytes()
    plant(kind, path, copy, tmp_path / "made")
    make()

    assert path.is_file()
    assert copy.read_bytes() == before
    assert not path.is_symlink()
    load_kit(out / "site-1", Role.CLIENT, now=datetime.now(UTC))


@pytest.mark.parametrize("name", ["rootCA.pem", "state.json", "revocations.json"])
@pytest.mark.parametrize("kind", ["symlink", "dangling", "pipe"])
def test_what_was_planted_in_a_place_of_the_authoritys_is_not_followed(
    make, planted, tmp_path, name, kind
):
    plant(kind, planted / "authority" / name, planted.parent / "victim", tmp_path / "made")

    assert refused(make) == "KIT_LINK"
    assert (planted.parent / "victim").read_bytes() == b"precious"
    assert not (tmp_path / "made").exists()


def test_a_root_without_a_memory_of_whom_it_certified_is_not_adopted(make, out):
    make()
    (out / "authority" / "state.json").unlink()

    assert refused(make) == "AUTHORITY_DAMAGED"
    assert not (out / "authority" / "state.json").exists()
