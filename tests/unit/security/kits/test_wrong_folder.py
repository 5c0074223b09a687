# SPDX-License-Identifier: Apache-2.0
"""Folders that are no kit, or not the right one, and what their owner is told."""

from __future__ import annotations

import pytest

from mmar_runner.errors import KitError, NoKitError
from mmar_runner.security.identity import Identity, Role
from mmar_runner.security.kits.files import KIT_FILES
from mmar_runner.security.kits.roles import MARKS
from mmar_runner.security.provisioning.own_keys import make_own_keys
from tests.unit.security.kits.loading import FOLDERS, load, refused


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("wanted", Role)
def test_a_kit_is_good_for_one_role(kits, role, wanted):
    folder = kits.out / FOLDERS[role]
    if role is wanted:
        load(folder, wanted)
    else:
        error = refused(KitError, folder, wanted)
        assert error.reason == "KIT_ROLE"
        assert f", such as {kits.out / FOLDERS[wanted]}; this one is for `" in error.hint


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize(
    ("inside", "says"),
    [(".", "holds start-up kits and is none"), ("authority", "folder of the project's authority")],
    ids=["all kits", "authority"],
)
def test_the_folder_of_the_kits_is_none_and_says_which_is_meant(kits, role, inside, says):
    error = refused(KitError, kits.out / inside, role)

    assert (error.reason, says in error.message) == ("KIT_INCOMPLETE", True)
    assert error.hint.startswith(f"did you mean {kits.out / FOLDERS[role]}")


@pytest.mark.parametrize(
    ("name", "hint"),
    [("site-l", "'site-1'"), ("another/site-1", "whoever provisions the project gave you")],
    ids=["misspelt", "nowhere"],
)
def test_a_kit_that_is_not_there_is_looked_for(kits, name, hint):
    error = refused(NoKitError, kits.out / name)
    assert hint in error.hint
    assert (error.exit_code, error.reason) == (2, "KIT_INCOMPLETE")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("authorization.json", "belong in site_policy.json"),
        ("fed_client.json", "changed in the project file"),
        ("trust.json", "keep your own client.key, site_policy.json and state/"),
    ],
    ids=["authorization", "config", "another"],
)
def test_a_site_is_told_whom_to_ask_for_a_file_and_what_to_keep(kits, name, hint):
    path = kits.client("site-1") / name
    path.write_bytes(path.read_bytes() + b"\n")
    altered = refused(KitError, path.parent)
    path.unlink()
    missing = refused(KitError, path.parent)

    assert altered.hint == missing.hint
    assert f"ask whoever provisions the project for {name} again" in altered.hint
    assert hint in altered.hint


@pytest.mark.parametrize(
    ("role", "own"),
    [
        (Role.SERVER, "server.key, site_policy.json and state/"),
        (Role.COMBINER, "combiner.key, site_policy.json and state/"),
        (Role.CLIENT, "client.key, site_policy.json and state/"),
        (Role.ADMIN, "client.key, release.key and state/"),
    ],
)
@pytest.mark.parametrize("lost", ["trust.json", "certificate", "release_public"])
def test_everybody_is_told_what_is_ones_own(kits, role, own, lost):
    """A server that lacked server.crt was told to keep its client.key."""
    folder = kits.out / FOLDERS[role]
    (folder / (getattr(KIT_FILES[role], lost, None) or "trust.json")).unlink()

    assert refused(KitError, folder, role).hint.endswith(f"keep your own {own}")


def test_of_many_kits_the_first_three_are_named(tmp_path):
    names = [f"site-{letter}" for letter in "hdbgacfe"]
    for name in names:
        (tmp_path / name).mkdir()
        for file in (MARKS[Role.CLIENT], "signature.json"):
            (tmp_path / name / file).touch()

    meant = " or ".join(str(tmp_path / name) for name in sorted(names)[:3])
    assert refused(KitError, tmp_path).hint == f"did you mean {meant}?"


def test_a_key_that_is_missing_is_the_owners_to_bring(kits):
    (kits.client("site-1") / "client.key").unlink()

    assert "put your own client.key back" in refused(KitError, kits.client("site-1")).hint


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("there", [(), ("signature.json", "config")], ids=["empty", "an MMAR"])
def test_a_folder_with_nothing_of_a_kit_is_none_and_says_what_one_looks_like(tmp_path, role, there):
    folder = tmp_path / "any"
    folder.mkdir()
    for name in there:
        (folder / name).touch()
    error = refused(KitError, folder, role)

    files = KIT_FILES[role]
    assert error.reason == "KIT_INCOMPLETE"
    assert f"{folder} is no start-up kit: there is no {files.key}, " in error.message
    assert "whoever provisions the project gave you" in error.hint


@pytest.mark.parametrize("role", Role)
def test_a_request_that_was_not_answered_is_no_damaged_kit(tmp_path, role):
    asked = make_own_keys(Identity("demo", role, FOLDERS[role]), tmp_path)
    error = refused(KitError, asked.parent, role)

    assert error.reason == "KIT_INCOMPLETE"
    assert "its request has not been answered" in error.message
    assert f"send {asked} to the project's office" in error.hint
    assert "`mmar-runner provision sign`" in error.hint
