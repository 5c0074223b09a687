# SPDX-License-Identifier: Apache-2.0
"""Commands in an MMAR: every one is seen, on the side that would start it, where it stands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.hooks import load_plugins
from mmar_runner.mmar.validation import Validation, validate

SAMPLE = Path(__file__).parents[3] / "mmars" / "digits_entry_points"


@pytest.fixture(scope="module")
def catalog():
    return load_plugins().registry


@pytest.fixture
def mmar(tmp_path: Path) -> Path:
    return shutil.copytree(SAMPLE, tmp_path / "digits", ignore=lambda *_: {"__pycache__"})


def edit(mmar: Path, side: str, change) -> None:
    path = mmar / "config" / f"config_fed_{side}.json"
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value, indent=2))


def declare(mmar: Path, **args: Any) -> None:
    trainer = {"name": "EntryPointTrainer", "args": args}
    edit(mmar, "client", lambda value: value.update(client_trainer=trainer))


def commands(found: Validation) -> list[tuple[str, str]]:
    return [(text, f"{place.file}#{place.pointer}") for text, place in found.facts.commands]


SERVERS = (
    "python3 custom/build.py",
    "config/config_fed_server.json#/model_persistor/args/build/command",
)
TRAINER = "config/config_fed_client.json#/client_trainer/args"
CLIENTS = [
    (f"python3 custom/{name}.py", f"{TRAINER}/{name}/command") for name in ("train", "validate")
]


@pytest.mark.parametrize(
    ("side", "expected"),
    [("server", [SERVERS]), ("client", CLIENTS), ("all", [SERVERS, *CLIENTS])],
)
def test_each_side_has_its_own_commands(side, expected, mmar, catalog):
    found = validate(mmar, catalog, side=side)
    assert sorted(commands(found)) == sorted(expected)
    assert found.spec is not None
    assert found.spec.commands


def test_an_mmar_without_a_file_of_code_brings_code_by_its_command(mmar, catalog):
    shutil.rmtree(mmar / "custom")
    edit(mmar, "server", lambda value: value.update(model_persistor={"name": "EchoModelPersistor"}))
    declare(mmar, train={"command": ["sh", "-c", "exit 1"]})
    found = validate(mmar, catalog)
    assert (found.facts.code, found.facts.byoc, found.facts.runs_own_code) == ((), True, True)
    assert (found.report.valid, found.report.byoc) == (True, True)
    assert found.spec is not None
    assert (found.spec.byoc, found.spec.commands) == (False, True)
    assert validate(mmar, catalog, side="server").facts.commands == ()


def test_what_a_site_puts_into_a_command_is_seen(mmar, catalog):
    declare(mmar, train={"command": "{PROGRAM} custom/train.py"})
    (mmar / "config" / "environment.json").write_text('{"PROGRAM": "python3", "NUM_ROUNDS": 2}')
    found = validate(mmar, catalog, side="client", settings={"PROGRAM": "/opt/julia"})
    assert [text for text, _ in found.facts.commands] == ["/opt/julia custom/train.py"]


def test_paths_in_a_command_are_judged_as_code_and_others_as_paths(mmar, catalog):
    declare(mmar, train={"command": ["/opt/julia", "custom/train.py"]}, environment={"D": "/data"})
    found = validate(mmar, catalog, side="client")
    assert [text for text, _ in found.facts.path_arguments] == ["/data"]


def test_commands_of_a_file_and_of_arguments_are_both_seen_once(mmar, catalog):
    text = "entry_points:\n  train:\n    command: python3 custom/train.py\n"
    (mmar / "fedn.yaml").write_text(f"{text}  validate:\n    command: ls\n")
    validate_ = {"command": "python3 custom/validate.py"}
    declare(mmar, entry_points_file="fedn.yaml", validate=validate_, train={"seconds": 9})
    found = validate(mmar, catalog, side="client")
    assert commands(found) == [
        ("python3 custom/train.py", "fedn.yaml#/entry_points/train/command"),
        ("python3 custom/validate.py", f"{TRAINER}/validate/command"),
    ]


def test_a_component_that_is_switched_off_has_none(mmar, catalog):
    def change(value: dict[str, Any]) -> None:
        value["model_persistor"]["disabled"] = True

    edit(mmar, "server", change)
    assert commands(validate(mmar, catalog, side="server")) == []


def test_a_site_that_sees_it_as_one_client_has_the_same_leave(mmar, catalog):
    found = validate(mmar, catalog)
    spec = found.spec_for("site-2")
    assert spec is not None
    assert spec.commands


def test_a_long_command_is_shown_by_its_beginning_and_what_no_terminal_shows_is_escaped(
    mmar, catalog
):
    declare(mmar, train={"command": ["echo", "x" * 54, "\x1b[2J"]})
    (note,) = validate(mmar, catalog, side="client").report.findings[:1]
    assert note.code == "MMAR670"
    assert f"'echo {'x' * 52}...'" in note.message
    declare(mmar, train={"command": ["echo", "x" * 51, "\x1b"]})
    (note,) = validate(mmar, catalog, side="client").report.findings[:1]
    assert f"'echo {'x' * 51} " in note.message
    assert "\x1b" not in note.message


@pytest.mark.parametrize(
    ("more", "code", "pointer", "hint"),
    [
        ("    seconds: -1\n", "MMAR403", "/entry_points/train/seconds", "0"),
        ("    secnds: 1\n", "MMAR404", "/entry_points/train/secnds", "Did you mean 'seconds'?"),
        ("  tarin: {command: ls}\n", "MMAR404", "/entry_points/tarin", "Did you mean 'train'?"),
        ("  x: {}\n", "MMAR404", "/entry_points/x", "There are: build, startup, train, validate."),
    ],
)
def test_what_is_wrong_in_a_file_has_its_place_and_mend(more, code, pointer, hint, mmar, catalog):
    text = "entry_points:\n  train:\n    command: python3 custom/train.py\n"
    (mmar / "fedn.yaml").write_text(text + more)
    declare(mmar, entry_points_file="fedn.yaml")
    report = validate(mmar, catalog, side="client").report
    (found,) = [one for one in report.findings if one.severity != "note"]
    assert (found.code, found.file, found.pointer, found.line) == (code, "fedn.yaml", pointer, 4)
    assert hint in found.hint
