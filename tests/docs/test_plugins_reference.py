# SPDX-License-Identifier: Apache-2.0
"""The reference of plugins says what the code says."""

import inspect
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from mmar_runner.cli.commands import plugins
from mmar_runner.hooks import discovery, doctor, manager, specs
from mmar_runner.hooks.doctor import INTERFACES
from mmar_runner.hooks.markers import HOOK_PREFIX
from mmar_runner.hooks.registrar import Registrar
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.interfaces.handler import EventType
from mmar_runner.interfaces.tags import Tag
from mmar_runner.mmar.components.bundled import BUNDLED
from mmar_runner.testing import contracts

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "plugins.md"


@pytest.fixture(scope="module")
def page():
    return PAGE.read_text()


def section(page, heading):
    return re.search(
        rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL
    ).group(1)


def rows(text):
    """Return the cells of a table's rows, without backquotes, head and rule left out."""
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip().strip("`") for cell in line] for line in lines]


def test_every_hook_with_its_arguments(page):
    documented = set(re.findall(r"^### (\w+\([^)]*\))$", section(page, "Hooks"), re.MULTILINE))
    hooks = {n: f for n, f in vars(specs).items() if n.startswith(HOOK_PREFIX)}
    assert documented == {
        f"{name}({', '.join(inspect.signature(hook).parameters)})" for name, hook in hooks.items()
    }


def test_every_event(page):
    assert all(f"`{event}`" in section(page, "Hooks") for event in EventType)


def test_every_argument_of_add(page):
    documented = [row[0] for row in rows(section(page, "registry.add"))]
    assert documented == list(inspect.signature(Registrar.add).parameters)[1:]


def test_every_kind_with_its_interface_and_suite(page):
    table = {row[0]: row[1:] for row in rows(section(page, "Kinds"))}
    assert list(table) == [str(kind) for kind in ComponentKind]
    for kind in ComponentKind:
        interface = INTERFACES.get(kind)
        if interface is None:
            assert table[kind] == ["a part of a trainer", ""]
            continue
        dotted, suite = table[kind]
        assert dotted == f"{interface.__module__}.{interface.__name__}"
        assert suite in contracts.__all__


def test_every_reason(page):
    source = "".join(inspect.getsource(module) for module in (doctor, manager))
    used = set(re.findall(r'"((?:PLUGIN|COMPONENT)_[A-Z]+)"', source))
    documented = set(re.findall(r"`((?:PLUGIN|COMPONENT)_[A-Z]+)`", page))
    assert used | {"PLUGIN_LOAD"} == documented


def test_the_variable(page):
    assert f"`{discovery.ALLOW_VARIABLE}`" in page


def test_every_tag(page):
    first = [tag for row in rows(section(page, "Facts")) for tag in re.split("`, `", row[0])]
    assert {str(tag) for tag in Tag} <= set(first)


def _printed(monkeypatch, *words):
    folders = {folder for kinds in BUNDLED.values() for folder in kinds}
    names = (f"mmar-runner-{f.rpartition('/')[2].replace('_', '-')}" for f in folders)
    monkeypatch.setenv("MMAR_RUNNER_PLUGINS", ",".join(sorted(names)))
    return CliRunner().invoke(plugins.command, [*words], catch_exceptions=False).output


def test_the_list_of_components_is_what_the_command_prints(monkeypatch):
    printed = _printed(monkeypatch, "reference")
    assert printed.splitlines() == (PAGE.parent / "components.md").read_text().splitlines(), (
        "write it anew: mmar-runner plugins reference > docs/reference/components.md"
    )


def test_the_page_about_older_archives_is_what_the_command_prints(monkeypatch):
    printed = _printed(monkeypatch, "compatibility")
    assert (
        printed.splitlines() == (PAGE.parent / "clara-compatibility.md").read_text().splitlines()
    ), "write it anew: mmar-runner plugins compatibility > docs/reference/clara-compatibility.md"
