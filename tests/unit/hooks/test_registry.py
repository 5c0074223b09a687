# SPDX-License-Identifier: Apache-2.0
import pytest

from mmar_runner.errors import PluginConflictError, PluginLoadError
from mmar_runner.hooks.registrar import Origin, Registrar
from mmar_runner.hooks.registry import ComponentRegistry
from mmar_runner.interfaces.catalog import ComponentKind

GOOD = {"kind": "filter", "name": "Clip", "target": "pkg.module:Clip"}


def added(**changes):
    registry = ComponentRegistry()
    registry.add(**{**GOOD, **changes})
    return registry


@pytest.mark.parametrize("kind", ["filter", ComponentKind.FILTER])
def test_a_kind_is_a_string_or_the_enumeration(kind):
    registry = added(kind=kind)
    assert registry.find("filter", "Clip") == registry.find(ComponentKind.FILTER, "Clip")
    assert registry.names("filter") == registry.names(ComponentKind.FILTER) == ["Clip"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "filtre"}, "no kind 'filtre'"),
        ({"name": "two words"}, "cannot be the name"),
        ({"name": "dotted.name"}, "cannot be the name"),
        ({"name": ""}, "cannot be the name"),
        ({"name": None}, "cannot be the name"),
        ({"target": "pkg.module.Clip"}, "is not 'module:attribute'"),
        ({"target": "pkg.module:Clip()"}, "is not 'module:attribute'"),
        ({"target": ""}, "is not 'module:attribute'"),
        ({"aliases": "Clipper"}, "aliases is one string"),
        ({"aliases": ["a..b"]}, "cannot be an alias"),
        ({"aliases": ["Clip"]}, "registered twice"),
        ({"aliases": ["Same", "Same"]}, "registered twice"),
        ({"args_schema": {"type": "array"}}, "has type 'array'"),
        ({"args_schema": []}, "not a JSON object"),
        ({"args_schema": {"properties": ["gamma"]}}, "'properties'"),
        ({"args_schema": {"properties": {"gamma": "number"}}}, "argument 'gamma'"),
        ({"args_schema": {"required": ["gamma"]}}, "required argument 'gamma'"),
        ({"args_schema": {"properties": {"m": {"x-component": "modle"}}}}, "no kind 'modle'"),
        (
            {"args_schema": {"properties": {"m": {"items": {"x-component": "modle"}}}}},
            "no kind 'modle'",
        ),
        ({"path_prefix": True, "name": "torch.nn", "target": ""}, "cannot be the name"),
        ({"path_prefix": True, "name": "torch.nn."}, "a path prefix has no target"),
    ],
)
def test_wrong_registrations_are_refused_with_a_sentence(changes, message):
    with pytest.raises(PluginLoadError) as caught:
        added(**changes)
    error = caught.value
    assert message in f"{error.message} {error.hint}"


def test_arguments_that_are_not_declared_are_refused_unless_the_schema_says_otherwise():
    assert added().find("filter", "Clip").args_schema["additionalProperties"] is False
    loose = added(args_schema={"additionalProperties": True})
    assert loose.find("filter", "Clip").args_schema["additionalProperties"] is True


def test_the_callers_schema_is_not_changed():
    schema = {"properties": {}}
    added(args_schema=schema)
    assert schema == {"properties": {}}


def test_aliases_are_found_but_not_listed():
    registry = added(aliases=["Clipper", "medl.filters.Clip"])
    assert registry.find("filter", "medl.filters.Clip").name == "Clip"
    assert registry.names("filter") == ["Clip"]
    assert registry.kinds_of("Clipper") == [ComponentKind.FILTER]
    assert registry.kinds_of("Nothing") == []


def test_names_differ_in_case():
    assert added().find("filter", "clip") is None


class TestPathPrefix:
    @pytest.fixture
    def registry(self):
        made = ComponentRegistry()
        made.add(kind="model", name="torch.nn.", path_prefix=True, summary="wide")
        made.add(kind="model", name="torch.nn.utils.", path_prefix=True, summary="narrow")
        made.add(kind="model", name="Net", target="a:B", aliases=["torch.nn.Old"])
        return made

    def test_names_a_class_below_it(self, registry):
        found = registry.find("model", "torch.nn.modules.linear.Linear")
        assert found.name == "torch.nn.modules.linear.Linear"
        assert found.target == "torch.nn.modules.linear:Linear"
        assert registry.find("model", found.name) == found

    def test_the_longest_prefix_decides(self, registry):
        assert registry.find("model", "torch.nn.utils.Thing").summary == "narrow"
        assert registry.find("model", "torch.nn.Thing").summary == "wide"

    def test_an_alias_goes_before_a_prefix(self, registry):
        assert registry.find("model", "torch.nn.Old").name == "Net"

    @pytest.mark.parametrize(
        "path",
        ["torch.nn.", "torch.nn", "torch.nnx.A", "torch.nn._Private", "torch.nn._C.A",
         "torch.nn.a-b", "torch.nn..A", "os.system", "torch.nn.A:B", "torch.nn.__init__"],
    )  # fmt: skip
    def test_anything_else_is_not_found(self, registry, path):
        assert registry.find("model", path) is None

    def test_belongs_to_its_kind(self, registry):
        assert registry.find("loss", "torch.nn.Linear") is None

    def test_is_no_name(self, registry):
        assert registry.names("model") == ["Net"]

    def test_two_plugins_with_one_prefix_conflict(self, registry):
        registrar = Registrar(Origin("other", "other", "1.0"))
        registrar.add(kind="model", name="torch.nn.", path_prefix=True)
        registry.accept(registrar)
        with pytest.raises(PluginConflictError):
            registry.find("model", "torch.nn.Linear")
