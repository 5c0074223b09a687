# SPDX-License-Identifier: Apache-2.0
import sys
from fractions import Fraction

import pytest

from mmar_runner.errors import ComponentBuildError, ComponentNotFoundError, NotAuthorizedError
from mmar_runner.hooks.components import ComponentBlueprint, blueprint, build_component
from mmar_runner.hooks.raised import told
from mmar_runner.hooks.registry import ComponentRegistry
from mmar_runner.interfaces.catalog import ComponentKind

NESTED = {
    "properties": {
        "model": {"x-component": "model"},
        "transforms": {"type": ["array", "null"], "x-component": "transform"},
        "losses": {"type": "array", "items": {"x-component": "loss"}},
        "deep": {"properties": {"inner": {"x-component": "model"}}},
        "by_name": {"additionalProperties": {"x-component": "model"}},
        "plain": {},
    }
}


@pytest.fixture
def catalog():
    made = ComponentRegistry()
    made.add(kind="client_trainer", name="Trainer", target="builtins:dict", args_schema=NESTED)
    made.add(kind="model", name="Net", target="builtins:dict", args_schema=NESTED)
    made.add(kind="transform", name="Flip", target="builtins:dict")
    made.add(kind="loss", name="MSE", target="builtins:dict")
    made.add(kind="metric", name="Half", target="fractions:Fraction",
             args_schema={"properties": {"numerator": {}, "denominator": {}}})  # fmt: skip
    made.add(kind="metric", name="NoModule", target="no_such_module_here:X")
    made.add(kind="metric", name="NoAttribute", target="fractions:Fractoin")
    made.add(kind="metric", name="NoClass", target="fractions:__name__")
    made.add(kind="optimizer", name="json.", path_prefix=True)
    return made


def test_builds_with_declared_arguments(catalog):
    declared = {"name": "Half", "args": {"numerator": 1, "denominator": 2}}
    assert build_component(catalog, "metric", declared, Fraction) == Fraction(1, 2)


def test_a_blueprint_imports_nothing(catalog):
    made = blueprint(catalog, "metric", {"name": "NoModule"})
    with pytest.raises(ComponentBuildError) as caught:
        made.build()
    assert "'no_such_module_here'" in caught.value.hint
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_builds_any_number_of_times_with_further_arguments(catalog):
    made = blueprint(catalog, "model", {"name": "Net", "args": {"plain": 1}})
    first, second = made.build([("position", 0)], more=2), made.build(plain=3)
    assert first == {"position": 0, "plain": 1, "more": 2}
    assert second == {"plain": 3}
    assert dict(made.args) == {"plain": 1}


class TestNesting:
    def test_becomes_blueprints_at_any_depth(self, catalog):
        leaf = {"name": "Net", "args": {"plain": {"name": "Net"}}}
        declared = {
            "name": "Trainer",
            "args": {
                "model": {"name": "Net", "args": {"model": leaf}},
                "transforms": [{"name": "Flip"}, {"name": "Flip"}],
                "losses": [{"name": "MSE"}],
                "deep": {"inner": leaf, "other": leaf},
                "by_name": {"a": leaf},
                "plain": leaf,
            },
        }
        args = build_component(catalog, "client_trainer", declared)
        assert isinstance(args["model"], ComponentBlueprint)
        inner = args["model"].build()["model"]
        assert isinstance(inner, ComponentBlueprint)
        assert inner.build() == {"plain": {"name": "Net"}}
        assert [t.kind for t in args["transforms"]] == ["transform", "transform"]
        assert [loss.name for loss in args["losses"]] == ["MSE"]
        assert isinstance(args["deep"]["inner"], ComponentBlueprint)
        assert isinstance(args["by_name"]["a"], ComponentBlueprint)
        # Only the schema makes a component; what merely looks like one is a value.
        assert args["deep"]["other"] == args["plain"] == leaf

    def test_disabled_ones_are_left_out(self, catalog):
        off = {"name": "Nowhere", "disabled": True}
        declared = {
            "name": "Trainer",
            "args": {"model": off, "transforms": [off, {"name": "Flip"}], "losses": [off]},
        }
        args = build_component(catalog, "client_trainer", declared)
        assert "model" not in args
        assert [t.name for t in args["transforms"]] == ["Flip"]
        assert args["losses"] == []

    def test_what_is_empty_is_off_too(self, catalog):
        """The validator takes {} for none, and a trainer's parts are built from the raw file."""
        declared = {
            "name": "Trainer",
            "args": {
                "model": {},
                "transforms": [{}, {"name": "Flip"}, {"disabled": True}, {}, {"name": "Flip"}],
                "losses": [{}],
                "deep": {"inner": {}, "kept": {}},
                "plain": {},
            },
        }
        args = build_component(catalog, "client_trainer", declared)
        assert [t.name for t in args.pop("transforms")] == ["Flip", "Flip"]
        assert args == {"losses": [], "deep": {"kept": {}}, "plain": {}}

    def test_null_stays_null(self, catalog):
        declared = {"name": "Trainer", "args": {"model": None, "transforms": None}}
        assert build_component(catalog, "client_trainer", declared) == declared["args"]

    def test_an_unknown_one_is_found_out_before_building(self, catalog):
        declared = {"name": "Trainer", "args": {"model": {"name": "Nett"}}}
        with pytest.raises(ComponentNotFoundError) as caught:
            blueprint(catalog, "client_trainer", declared)
        assert caught.value.hint == "did you mean 'Net'?"


@pytest.mark.parametrize(
    ("declaration", "hint"),
    [
        ({"name": "Net"}, "it is registered as model"),
        ({"name": "Halff"}, "did you mean 'Half'?"),
        ({"name": "Quite different"}, "plugins list"),
        ({"path": "custom.Thing"}, "plugins list"),
    ],
)
def test_what_is_not_installed(catalog, declaration, hint):
    with pytest.raises(ComponentNotFoundError) as caught:
        blueprint(catalog, "metric", declaration)
    assert hint in caught.value.hint


@pytest.mark.parametrize("declaration", [{}, {"name": None}, {"name": 3}, {"args": {}}])
def test_a_declaration_without_a_name(catalog, declaration):
    with pytest.raises(ComponentNotFoundError, match="without a name"):
        blueprint(catalog, "metric", declaration)


def test_path_goes_before_name(catalog):
    made = blueprint(catalog, "model", {"name": "Nowhere", "path": "Net"})
    assert made.name == "Net"


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        ({"name": "NoAttribute"}, "cannot be imported from fractions:Fractoin: AttributeError"),
        ({"name": "NoClass"}, "is no class"),
        ({"name": "Half", "args": {"denominator": 0}}, "ZeroDivisionError"),
        ({"name": "Half", "args": {"wrong": 0}}, "/args/wrong: 'wrong' is unknown here"),
    ],
)
def test_failures_name_component_and_cause(catalog, declaration, message):
    with pytest.raises(ComponentBuildError) as caught:
        build_component(catalog, "metric", declaration)
    assert message in caught.value.message
    assert repr(declaration["name"]) in caught.value.message


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError(2, "No such file", "cases.csv"), True),
        (FileNotFoundError(2, "No such file", "/data/cases.csv"), False),
        (FileNotFoundError("no file at all"), False),
        (FileNotFoundError(2, "No such file", b"cases.csv"), False),
        (ValueError("cases.csv"), False),
    ],
    ids=repr,
)
def test_a_relative_path_that_leads_nowhere_is_told_where_it_begins(error, said):
    assert told(error).startswith(f"{type(error).__name__}: {error}")
    assert ("working folder" in told(error)) is said


def test_an_exception_without_words_is_its_type():
    assert told(KeyError()) == "KeyError"


def test_a_part_that_fails_speaks_for_itself(catalog):
    part = blueprint(catalog, "metric", {"name": "Half", "args": {"denominator": 0}})
    owner = ComponentBlueprint(ComponentKind.MODEL, "Owner", {}, lambda: part.build, "")
    with pytest.raises(ComponentBuildError, match=r"^metric 'Half' cannot be built: ZeroDivision"):
        owner.build()


def test_the_wrong_type_is_refused(catalog):
    with pytest.raises(ComponentBuildError, match="is a Fraction, not a dict") as caught:
        build_component(catalog, "metric", {"name": "Half"}, dict)
    assert "derive the class from builtins.dict" in caught.value.hint


class TestPathPrefix:
    def test_builds_a_class_of_the_package(self, catalog):
        made = build_component(catalog, "optimizer", {"path": "json.decoder.JSONDecoder"})
        assert type(made).__name__ == "JSONDecoder"

    @pytest.mark.parametrize(
        "path",
        [
            "json.decoder.re",  # a module that the package imports
            "json.loads",  # a function
            "json.decoder.scanner",  # a module of its own
            "json.codecs.IncrementalDecoder",  # through a module that is not in the package
        ],
    )
    def test_nothing_else_is_reachable(self, catalog, path):
        with pytest.raises(ComponentBuildError):
            build_component(catalog, "optimizer", {"path": path})


class TestCustomCode:
    @pytest.fixture
    def custom(self, tmp_path):
        (tmp_path / "random.py").write_text("class Net:\n    def __init__(self, n=0): self.n = n\n")
        (tmp_path / "trainer.py").write_text(
            "import random\nimport nets.small\nfrom nets.small import Small\n"
            "import nets.small as alias\nfrom nets import small\nimport json\n"
            "class Trainer(random.Net):\n"
            "    parts = (nets.small.Small, Small, alias.Small, small.Small)\n"
        )
        (tmp_path / "nets").mkdir()
        (tmp_path / "nets/__init__.py").write_text("")
        (tmp_path / "nets/small.py").write_text(
            "from . import __name__ as parent\nclass Small: pass\n"
        )
        (tmp_path / "broken.py").write_text("1 / 0\n")
        return tmp_path

    def build(self, catalog, custom, path, **args):
        declaration = {"path": path, "args": args}
        return build_component(catalog, "model", declaration, custom_dir=custom)

    def test_shadows_nothing(self, catalog, custom):
        import random

        path, before = list(sys.path), sys.modules["random"]
        made = self.build(catalog, custom, "random.Net", n=3)
        assert made.n == 3
        assert sys.modules["random"] is before is random
        assert sys.path == path
        assert "nets" not in sys.modules

    def test_files_find_each_other_by_bare_names(self, catalog, custom):
        made = self.build(catalog, custom, "trainer.Trainer")
        assert type(made).__mro__[1].__name__ == "Net"
        assert len(set(type(made).parts)) == 1
        assert "nets" not in sys.modules

    def test_is_not_looked_at_without_leave(self, catalog, custom):
        with pytest.raises(ComponentNotFoundError):
            blueprint(catalog, "model", {"path": "random.Net"})

    def test_is_reached_by_path_only(self, catalog, custom):
        with pytest.raises(ComponentNotFoundError):
            blueprint(catalog, "model", {"name": "random.Net"}, custom_dir=custom)

    @pytest.mark.parametrize(
        ("path", "message"),
        [
            ("nowhere.Net", "has no module 'nowhere'"),
            ("json.JSONDecoder", "has no module 'json'"),
            ("random.Nett", "has no 'Nett'"),
            ("broken.Net", "ZeroDivisionError"),
            ("random.__name__", "something else than a class"),
            ("Nothing", "has no module"),
            ("...Net", "has no module"),
        ],
    )
    def test_failures_are_told(self, catalog, custom, path, message):
        with pytest.raises(ComponentBuildError) as caught:
            self.build(catalog, custom, path)
        assert message in caught.value.message


class TestAllowedPaths:
    """The policy's prefixes hold for what is written, and for what it leads to."""

    @pytest.fixture
    def library(self, tmp_path, monkeypatch):
        """A package that defines a class, and offers others that it only imported."""
        package = tmp_path / "policed"
        (package / "inner").mkdir(parents=True)
        (package / "__init__.py").write_text("")
        (package / "inner" / "__init__.py").write_text(
            "from os import system\n"
            "from builtins import eval\n"
            "from subprocess import Popen\n"
            "from fractions import Fraction\n"
            "from policed.outer import Outer\n"
            "class Own: ...\n"
        )
        (package / "outer.py").write_text("class Outer: ...\n")
        (package / "canary.py").write_text("class Canary: ...\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        yield "policed"
        for name in [name for name in sys.modules if name.split(".")[0] == "policed"]:
            del sys.modules[name]

    @pytest.fixture
    def policed(self, library):
        made = ComponentRegistry()
        made.add(kind="optimizer", name=f"{library}.", path_prefix=True)
        schema = {"properties": {"parts": {"x-component": "optimizer"}}}
        made.add(kind="model", name="Net", target="builtins:dict", args_schema=schema)
        return made

    def test_what_the_policy_allows_is_built(self, policed):
        allowed = ("policed.inner.",)
        made = build_component(policed, "optimizer", {"path": "policed.inner.Own"}, allowed=allowed)
        assert type(made).__name__ == "Own"

    @pytest.mark.parametrize("name", ["system", "eval", "Popen", "Fraction", "Outer"])
    def test_what_is_only_offered_there_is_refused_before_it_is_called(self, policed, name):
        declared = {"path": f"policed.inner.{name}", "args": {"command": "true"}}
        with pytest.raises(NotAuthorizedError) as caught:
            build_component(policed, "optimizer", declared, allowed=("policed.inner.",))
        assert caught.value.reason == "COMPONENT_NOT_ALLOWED"
        if name == "Outer":  # a class of the package: only the policy refuses it
            assert build_component(policed, "optimizer", declared | {"args": {}})

    @pytest.mark.parametrize("allowed", [(), ("policed.inner.",), ("policed.canary.Canari",)])
    @pytest.mark.parametrize("key", ["path", "name"])
    def test_what_is_not_allowed_by_its_spelling_is_not_imported(self, policed, allowed, key):
        declared = {key: "policed.canary.Canary"}
        for nested in (declared, {"name": "Net", "args": {"parts": [declared]}}):
            kind = "optimizer" if nested is declared else "model"
            with pytest.raises(NotAuthorizedError, match=r"policed\.canary\.Canary"):
                blueprint(policed, kind, nested, allowed=allowed)
        assert "policed.canary" not in sys.modules

    def test_a_path_that_no_plugin_offers_is_refused_by_the_policy_first(self, policed):
        with pytest.raises(NotAuthorizedError):
            blueprint(policed, "optimizer", {"path": "os.system"}, allowed=())
        with pytest.raises(ComponentNotFoundError):
            blueprint(policed, "optimizer", {"path": "os.system"}, allowed=("os.",))

    def test_registered_names_and_code_of_the_mmar_need_no_prefix(self, policed, tmp_path):
        custom = tmp_path / "custom"
        custom.mkdir()
        (custom / "mine.py").write_text("class Mine: ...\n")
        assert build_component(policed, "model", {"name": "Net"}, allowed=()) == {}
        mine = {"path": "mine.Mine"}
        assert build_component(policed, "optimizer", mine, custom_dir=custom, allowed=())

    def test_a_refusal_inside_a_component_keeps_its_reason(self, policed):
        policed.add(kind="loss", name="Loss", target=f"{__name__}:build_its_part",
                    args_schema={"properties": {"part": {"x-component": "optimizer"}}})  # fmt: skip
        declared = {"name": "Loss", "args": {"part": {"path": "policed.inner.Outer"}}}
        with pytest.raises(NotAuthorizedError):
            build_component(policed, "loss", declared, allowed=("policed.inner.",))


def build_its_part(part):
    """Build what was declared inside, as a component does."""
    return part.build()


def _asked(kind, name, target, args):
    if args.get("numerator") == 13:
        raise NotAuthorizedError(f"{kind} {name} {target.__name__} is refused")


ASKING_SCHEMA = {"properties": {"numerator": {"maximum": 20}, "denominator": {}}}


class TestAdmitting:
    """What is asked once more where a component is built."""

    @pytest.fixture
    def asking(self):
        made = ComponentRegistry()
        stated = {"admitted_by": f"{__name__}:_asked", "unfit": {"fractions.Decimal": "it is none"}}
        made.add(kind="metric", name="fractions.", path_prefix=True, extras=stated)
        made.add(kind="metric", name="Half", target="fractions:Fraction",
                 args_schema=ASKING_SCHEMA, extras=stated)  # fmt: skip
        return made

    @pytest.mark.parametrize("named", [{"name": "Half"}, {"path": "fractions.Fraction"}])
    def test_a_plugin_is_asked_before_its_class_is_called(self, asking, named):
        assert build_component(asking, "metric", {**named, "args": {"numerator": 1}}) == 1
        # It would be a ZeroDivisionError if it were called.
        declared = {**named, "args": {"numerator": 13, "denominator": 0}}
        with pytest.raises(NotAuthorizedError, match=r"metric .* Fraction is refused"):
            build_component(asking, "metric", declared)

    @pytest.mark.parametrize("named", [{"name": "Half"}, {"path": "fractions.Fraction"}])
    def test_a_path_to_a_registered_class_has_its_schema(self, asking, named):
        with pytest.raises(ComponentBuildError, match="/args/numerator: 21"):
            blueprint(asking, "metric", {**named, "args": {"numerator": 21}})

    def test_an_unfit_class_is_not_built(self, asking):
        with pytest.raises(ComponentBuildError, match="cannot be used here: it is none"):
            blueprint(asking, "metric", {"path": "fractions.Decimal"})

    def test_a_plugin_without_its_function_builds_nothing(self):
        made = ComponentRegistry()
        made.add(kind="metric", name="Half", target="fractions:Fraction",
                 extras={"admitted_by": "fractions:nobody"})  # fmt: skip
        with pytest.raises(ComponentBuildError, match="there is no fractions:nobody"):
            build_component(made, "metric", {"name": "Half"})
