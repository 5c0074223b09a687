# SPDX-License-Identifier: Apache-2.0
"""What Tab offers, at every place of a line."""

import pytest

from mmar_runner.console.completion import candidates, wanted
from mmar_runner.console.conversation import typed
from mmar_runner.console.known import KnownNames
from mmar_runner.console.own_commands import OWN
from mmar_runner.orders.commands import BUILT_IN

SPECS = {**typed(BUILT_IN), **OWN}
CLIENTS = ["site-1", "site-2"]


@pytest.fixture
def known():
    names = KnownNames(CLIENTS)
    names.hear({"mmars": [{"name": "study"}, {"name": "other"}]})
    return names


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ("sta", {"start", "start_mgpu"}),
        ("check_status ", {"server", "client", "all"}),
        ("check_status s", {"server"}),
        ("check-status s", {"server"}),
        ("check_status client ", set(CLIENTS)),
        ("check_status client site-1 ", {"site-2"}),
        ("check_status server ", set()),
        ("deploy ", {"study", "other"}),
        ("deploy st", {"study"}),
        ("deploy study ", {"server", "client", "all"}),
        ("deploy study client site-2 s", {"site-1"}),
        ("enqueue study ", {"client"}),
        ("start_mgpu client ", set()),
        ("start_mgpu client 2 ", set(CLIENTS)),
        ("remove_client ", set(CLIENTS)),
        ("remove_client site-1 ", {"site-2"}),
        ("ls ", {"server", *CLIENTS}),
        ("ls server ", set()),
        ("eval_right lead@a.org ", {"upload", "deploy", "train", "view", "operate"}),
        ("eval_rule ", {"server", *CLIENTS}),
        ("help sh", {name for name in SPECS if name.startswith("sh")}),
        ("? wat", {"watch"}),
        ("set_timeout ", set()),
        ("nothing ", set()),
    ],
)
def test_words(before, words, known):
    assert {one.word for one in candidates(before, SPECS, known)} == words


def test_an_empty_line_offers_every_command(known):
    assert {one.word for one in candidates("", SPECS, known)} == set(SPECS)


def test_folders_of_this_machine(tmp_path, monkeypatch, known):
    (tmp_path / "mmars" / "study" / "config").mkdir(parents=True)
    (tmp_path / "mmars" / ".hidden").mkdir()
    (tmp_path / "mmars" / "file").touch()
    monkeypatch.chdir(tmp_path)
    (folder,) = candidates("upload mm", SPECS, known)
    assert (folder.word, folder.ends) == ("mmars", False)
    (study,) = candidates("upload mmars/", SPECS, known)
    assert (study.word, study.note, study.ends) == ("mmars/study", "an MMAR", True)
    assert candidates("upload nowhere/", SPECS, known) == []


@pytest.mark.parametrize(
    ("before", "kind"),
    [
        ("deploy ", "mmars"),
        ("deploy study client ", "clients"),
        ("ls ", "clients"),
        ("remove_client ", "clients"),
        ("deploy study ", ""),
        ("che", ""),
    ],
)
def test_names_are_asked_for_where_they_are_needed(before, kind):
    assert wanted(before, SPECS) == kind


def test_names_of_a_hostile_server_are_bounded_and_fit_to_be_shown():
    names = KnownNames(["good", "\x1b[2J", "", *(f"c{i}" for i in range(20_000))])
    assert len(names.clients) <= 10_000
    assert "good" in names.clients
    assert all(name.isprintable() and name for name in names.clients)
    names.hear({"server": {"clients": [3, {"name": 4}, {}, "x"]}, "mmars": [None]})
    assert names.clients == ["4"]
    names.hear({"server": 3, "mmars": "no"})
    assert names.clients == ["4"]


def test_names_are_asked_for_again_when_they_are_old():
    now = [0.0]
    names = KnownNames(["a"], clock=lambda: now[0])
    assert not names.is_stale("clients")
    assert names.is_stale("mmars")
    assert not names.is_stale("mmars")
    now[0] = 20.0
    assert names.is_stale("clients")
    assert not names.is_stale("clients")
