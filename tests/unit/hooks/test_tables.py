# SPDX-License-Identifier: Apache-2.0
"""Tables of components: found by name and class path, read when they are needed."""

from __future__ import annotations

import json

import pytest

from mmar_runner.errors import PluginConflictError, PluginLoadError
from mmar_runner.hooks.registrar import Origin, Registrar
from mmar_runner.hooks.registry import ComponentRegistry
from mmar_runner.interfaces.catalog import ComponentKind

_ENTRIES = {
    "UNet": {
        "target": "frame.nets.unet:UNet",
        "paths": ["frame.nets.UNet"],
        "aliases": ["Unet"],
        "properties": {"width": {"type": "integer"}},
        "required": ["width"],
        "facts": {"gives": "width"},
        "summary": "A network.",
    }
}


@pytest.fixture
def table(tmp_path):
    file = tmp_path / "model.json"
    file.write_text(json.dumps(_ENTRIES))
    return file


def _registry(*registrations):
    registry = ComponentRegistry()
    for number, register in enumerate(registrations):
        registrar = Registrar(Origin(f"plugin{number}", f"dist{number}", "1.0"))
        register(registrar)
        registry.accept(registrar)
    return registry


def test_an_entry_is_a_component_like_any_other(table):
    registry = _registry(lambda r: r.add_table(kind="model", file=table))

    found = registry.find("model", "UNet")

    assert found is not None
    assert found.target == "frame.nets.unet:UNet"
    assert found.args_schema["required"] == ["width"]
    assert found.args_schema["additionalProperties"] is False
    assert (found.distribution, found.extras, found.summary) == (
        "dist0",
        {"gives": "width"},
        "A network.",
    )
    assert registry.find("model", "Unet") is registry.find("model", "UNet")
    assert registry.kinds_of("UNet") == [ComponentKind.MODEL]
    assert registry.tabled("model") == ["UNet"]
    assert registry.names("model") == []
    assert registry.find("loss", "UNet") is None
    assert registry.find("model", "VNet") is None


@pytest.mark.parametrize("path", ["frame.nets.unet.UNet", "frame.nets.UNet"])
def test_class_paths_lead_to_it(table, path):
    registry = _registry(lambda r: r.add_table(kind="model", file=table))

    found = registry.at_target("model", path)

    assert found is not None
    assert found.name == "UNet"
    assert registry.at_target("model", "frame.nets.VNet") is None
    assert registry.at_target("loss", path) is None


def test_a_file_is_read_only_once_its_kind_is_asked_for(table):
    registry = _registry(lambda r: r.add_table(kind="model", file=table))
    table.write_text("{")  # whoever reads it now fails

    assert registry.find("loss", "UNet") is None
    with pytest.raises(PluginLoadError, match=r"model\.json cannot be read"):
        registry.find("model", "UNet")


def test_nobody_wins_a_name_that_a_table_and_another_plugin_have(table):
    registry = _registry(
        lambda r: r.add_table(kind="model", file=table),
        lambda r: r.add(kind="model", name="UNet", target="other:UNet"),
    )

    with pytest.raises(PluginConflictError, match=r"dist0 1\.0 and dist1 1\.0"):
        registry.find("model", "UNet")
    assert [conflict.name for conflict in registry.conflicts()] == ["UNet"]


def test_tables_hold_parts_of_trainers_alone(table):
    with pytest.raises(PluginLoadError, match="a table cannot hold"):
        _registry(lambda r: r.add_table(kind="aggregator", file=table))


def test_a_table_that_is_not_there_is_no_registration(tmp_path):
    with pytest.raises(PluginLoadError, match="there is no table"):
        _registry(lambda r: r.add_table(kind="model", file=tmp_path / "none.json"))


def test_an_entry_is_checked_like_a_registration(table):
    table.write_text(json.dumps({"UNet": {**_ENTRIES["UNet"], "required": ["depth"]}}))
    registry = _registry(lambda r: r.add_table(kind="model", file=table))

    with pytest.raises(PluginLoadError, match="'depth' is not among the properties"):
        registry.find("model", "UNet")
