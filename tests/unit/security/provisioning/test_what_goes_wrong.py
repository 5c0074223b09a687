# SPDX-License-Identifier: Apache-2.0
"""What goes wrong: a power cut, a damaged authority, names that are taken."""

from __future__ import annotations

import json
import multiprocessing
import shutil
from functools import partial

import pytest

from mmar_runner.errors import CertificateError, KitError, UsageError
from mmar_runner.security.identity import Identity, Role
from mmar_runner.security.provisioning import authority as authority_module
from mmar_runner.security.provisioning.calls import provision, sign_request
from mmar_runner.security.provisioning.own_keys import make_own_keys
from tests.unit.security.provisioning.power_cut import PowerCut, cut_at
from tests.unit.security.provisioning.world import LEAD, NOW, World, changes


def test_a_run_that_was_cut_short_anywhere_is_completed_by_the_next(monkeypatch, tmp_path):
    cuts = 0
    for number in range(1000):
        (tmp_path / str(number)).mkdir()
        here = World(tmp_path / str(number))
        cut_at(monkeypatch, number)
        try:
            here.make()
        except PowerCut:
            cuts += 1
        else:
            break
        finally:
            monkeypatch.undo()
        keys = here.files("*.key")
        here.make()
        for name in ("localhost", "site-1", "site-2", LEAD):
            here.kit(name)
        after = here.files("*.key")
        assert {name: after[name] for name in keys} == keys
    assert cuts > 40


def test_runs_at_the_same_time_wait_for_each_other(world):
    context = multiprocessing.get_context("spawn")
    runs = [
        context.Process(target=provision, args=(world.file, world.out), kwargs={"now": NOW})
        for _ in range(3)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join(50)

    assert [run.exitcode for run in runs] == [0, 0, 0]
    state = json.loads((world.out / "authority" / "state.json").read_bytes())
    assert {entry["name"]: len(entry["certificates"]) for entry in state["known"]} == dict.fromkeys(
        ["localhost", "site-1", "site-2", LEAD], 1
    )
    for name in ("localhost", "site-1", "site-2", LEAD):
        world.kit(name)


def test_the_folder_of_one_project_is_not_anothers(world):
    world.make()
    world.edit("name: lungs", "name: hearts")

    with pytest.raises(KitError) as caught:
        world.make()
    assert caught.value.reason == "PROJECT_MISMATCH"


@pytest.mark.parametrize("name", ["root.key", "rootCA.pem"])
def test_an_authority_that_lost_a_file_makes_no_other(world, name):
    world.make()
    (world.out / "authority" / name).unlink()

    with pytest.raises(KitError) as caught:
        world.make()
    assert caught.value.reason == "AUTHORITY_DAMAGED"
    assert "backup" in caught.value.hint


def test_an_authority_whose_key_others_can_read_is_not_used(world):
    world.make()
    (world.out / "authority" / "root.key").chmod(0o644)

    with pytest.raises(KitError) as caught:
        world.make()
    assert caught.value.reason == "KEY_READABLE"


@pytest.mark.parametrize("name", ["../outside", "..", "a/b", "SITE-TWICE"])
def test_a_memory_whose_names_lead_away_or_come_twice_is_refused(world, name):
    world.make()
    path = world.out / "authority" / "state.json"
    state = json.loads(path.read_text())
    state["known"][0]["name"] = name
    state["known"][1]["name"] = "site-twice"
    path.write_text(json.dumps(state))
    before = sorted(entry.name for entry in world.out.parent.iterdir())

    with pytest.raises(KitError) as caught:
        world.make()
    assert caught.value.reason == "AUTHORITY_DAMAGED"
    assert sorted(entry.name for entry in world.out.parent.iterdir()) == before


@pytest.mark.parametrize("content", [b"", b"{}", b'{"version": 1}'], ids=range(3))
def test_a_damaged_memory_is_refused(world, content):
    world.make()
    (world.out / "authority" / "state.json").write_bytes(content)

    with pytest.raises(KitError) as caught:
        world.make()
    assert caught.value.reason == "AUTHORITY_DAMAGED"


def test_an_authority_whose_time_is_over_says_so(world):
    world.make()

    with pytest.raises(CertificateError) as caught:
        world.make(NOW + authority_module.ROOT_LIFE)
    assert caught.value.reason == "CERT_EXPIRED"


def test_a_key_that_was_exchanged_in_a_kit_is_refused(world):
    world.make()
    shutil.copy(world.out / "site-2" / "client.key", world.out / "site-1" / "client.key")

    with pytest.raises(KitError) as caught:
        world.make()
    assert caught.value.reason == "KEY_CHANGED"


def test_a_name_keeps_its_role(world):
    world.make()
    world.edit("cn: localhost", "cn: site-1")
    world.edit("client_name: site-1", "client_name: site-3")

    with pytest.raises(KitError) as caught:
        world.make()
    assert caught.value.reason == "NAME_TAKEN"


@pytest.mark.parametrize("gone", [False, True], ids=["named twice", "left"])
@pytest.mark.parametrize("request_it", [False, True], ids=["made", "asked"])
def test_a_name_like_that_of_somebody_known_is_refused(world, tmp_path, gone, request_it):
    world.make()
    before = world.files()
    new = "{org: east, client_name: SITE-1}"
    world.edit("{org: north, client_name: site-1}", new)
    if not gone:  # the file itself names both
        world.edit(new, new + "\n  - {org: north, client_name: site-1}")
    asked = make_own_keys(Identity("lungs", Role.CLIENT, "SITE-1"), tmp_path / "mine")

    sign = partial(sign_request, world.file, asked, world.out, now=NOW)
    with pytest.raises((KitError, UsageError)) as caught:
        (sign if request_it else world.make)()
    assert caught.value.reason == ("NAME_TAKEN" if gone else "PROJECT_INVALID")
    assert "site-1" in caught.value.message + caught.value.hint
    assert world.files() == before


def test_nobody_is_enrolled_when_one_name_is_taken(world):
    world.make()
    world.edit("{org: north, client_name: site-1}", "{org: x, client_name: new}")
    world.edit("{org: south, client_name: site-2}", "{org: y, client_name: Site-2}")

    with pytest.raises(KitError, match="Site-2 differs from site-2"):
        world.make()
    assert not (world.out / "new").exists()


def test_an_altered_file_is_put_right(world):
    world.make()
    path = world.out / "site-1" / "fed_client.json"
    path.write_text("{}")
    done = world.make()

    assert changes(done)["site-1"] == "changed"
    assert world.kit("site-1").target == "localhost:8002"


def test_another_address_of_the_server_reaches_the_clients(world):
    world.make()
    world.edit("cn: localhost", 'cn: "::1", fed_learn_port: 9000')
    world.make()

    assert world.kit("site-1").target == "[::1]:9000"
