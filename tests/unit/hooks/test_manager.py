# SPDX-License-Identifier: Apache-2.0
import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from mmar_runner.errors import PluginConflictError, UsageError
from mmar_runner.interfaces.handler import EventType, RunEvent

EVENT = RunEvent(EventType.ROUND_STARTED, 1, Path("run_1"), 0)


def names(plugins):
    return [p.name for p in plugins.plugins]


def test_loads_builtin_first_then_by_distribution_and_name(site, registering):
    site.install("zebra", registering("Z"), entry="a")
    site.install("ant", registering("A"), entry="z")
    assert names(site.load()) == ["builtin", "z", "a"]


def test_a_component_knows_where_it_comes_from(site, registering):
    module = site.install("ant", registering("A", summary="An  ant.\n"), version="2.5")
    found = site.load().registry.find("aggregator", "A")
    assert (found.distribution, found.version) == ("ant", "2.5")
    assert found.target == f"{module}:Thing"
    assert found.summary == "An ant."


def test_two_loads_share_nothing(site, registering):
    site.install("ant", registering("A"))
    first, second = site.load(), site.load(allow=[])
    assert first.manager is not second.manager
    assert second.registry.find("aggregator", "A") is None
    assert first.registry.find("aggregator", "A") is not None


def test_what_is_installed_is_known_without_a_folder(site, registering, tmp_path):
    site.install("ant", registering("A"))
    folder = tmp_path / "more"
    folder.mkdir()
    (folder / "mine.py").write_text(dedent(registering("A")))
    (folder / "other.py").write_text(dedent(registering("B")))

    alone, beside = site.load(), site.load(plugins_dir=folder)

    assert alone.registry.installed is alone.registry
    with pytest.raises(PluginConflictError):
        beside.registry.find("aggregator", "A")
    assert beside.registry.installed.find("aggregator", "A").distribution == "ant"
    assert beside.registry.installed.find("aggregator", "B") is None


class TestAllowList:
    def test_what_is_not_allowed_is_never_imported(self, site, registering):
        module = site.install("ant", registering("A"))
        site.install("bee", registering("B"))
        plugins = site.load(allow=["bee"])
        assert names(plugins) == ["builtin", "bee"]
        assert module not in sys.modules

    def test_names_an_entry_point_or_a_distribution(self, site, registering):
        site.install("ant", registering("A"), entry="first")
        site.install("bee-hive", registering("B"), entry="second")
        assert names(site.load(allow=["first", "bee-hive"])) == ["builtin", "first", "second"]

    def test_is_exact(self, site, registering):
        site.install("ant", registering("A"))
        assert names(site.load(allow=["an", "ant2", "*"])) == ["builtin"]

    def test_empty_means_none(self, site, registering):
        site.install("ant", registering("A"))
        assert names(site.load(allow=[])) == ["builtin"]

    def test_an_absent_name_is_reported(self, site):
        plugins = site.load(allow=["wasp"])
        (failure,) = plugins.failures
        assert failure.reason == "PLUGIN_ABSENT"
        assert "wasp" in plugins.registry.broken()

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("", ["builtin"]),
            (" ant , ", ["builtin", "ant"]),
            ("bee,ant", ["builtin", "ant", "bee"]),
        ],
    )
    def test_environment_variable(self, site, registering, monkeypatch, value, expected):
        site.install("ant", registering("A"))
        site.install("bee", registering("B"))
        monkeypatch.setenv("MMAR_RUNNER_PLUGINS", value)
        assert names(site.load(allow=None)) == expected

    def test_without_the_variable_everything_is_loaded(self, site, registering):
        site.install("ant", registering("A"))
        assert {"builtin", "ant", "fedavg"} <= set(names(site.load(allow=None)))


class TestBrokenPlugins:
    @pytest.mark.parametrize(
        ("source", "message"),
        [
            ("import no_such_module_at_all", "ModuleNotFoundError"),
            ("1 / 0", "ZeroDivisionError"),
            ("raise SystemExit(3)", "SystemExit"),
            ("def f(:", "SyntaxError"),
            ("x = 1", "implements no hook"),
            ("def mmar_register_components(registry): pass", "not marked as a hook"),
            (
                (
                    "from mmar_runner.hooks import hookimpl\n"
                    "@hookimpl\ndef mmar_register_component(registry): pass"
                ),
                "misspelt",
            ),
            (
                (
                    "from mmar_runner.hooks import hookimpl\n"
                    "@hookimpl\ndef mmar_register_components(catalogue): pass"
                ),
                "unknown arguments",
            ),
            (
                (
                    "from mmar_runner.hooks import hookimpl\n"
                    "@hookimpl\ndef mmar_register_components(registry): registry.nothing"
                ),
                "AttributeError",
            ),
        ],
    )
    def test_is_recorded_and_the_others_work(self, site, registering, source, message):
        site.install("ant", registering("A"))
        site.install("bad", "")
        module = site.install("broken", source)
        (site.folder / f"{module}.py").write_text(source)
        plugins = site.load(allow=["ant", "broken"])
        (failure,) = plugins.failures
        assert failure.plugin == "broken"
        assert message in failure.message
        assert "Traceback" in failure.traceback
        assert plugins.registry.broken() == {"broken": failure.message}
        assert names(plugins) == ["builtin", "ant"]

    def test_metadata_without_name_and_version(self, site, registering):
        site.install("ant", registering("A"))
        site.install("bee", registering("B"), entry="bee")
        (site.folder / "bee-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\n")
        plugins = site.load(allow=["ant", "bee"])
        assert names(plugins) == ["builtin", "ant", "bee"]
        assert plugins.registry.find("aggregator", "B").distribution == "unknown"

    def test_leaves_no_registration_behind(self, site):
        site.install(
            "half",
            """
            from mmar_runner.hooks import hookimpl

            @hookimpl
            def mmar_register_components(registry):
                registry.add(kind="filter", name="Good", target="a:B")
                registry.add(kind="filter", name="Bad", target="not a target")

            @hookimpl
            def mmar_on_event(event):
                raise AssertionError("a broken plugin was called")
            """,
        )
        plugins = site.load()
        assert plugins.failures
        assert plugins.registry.find("filter", "Good") is None
        assert plugins.notify(EVENT) == []
        assert plugins.manager.hook.mmar_on_event(event=EVENT) == []


class TestConflicts:
    def test_two_plugins_of_one_name_are_both_refused(self, site, registering):
        site.install("ant", registering("A"), entry="same")
        site.install("bee", registering("B"), entry="same")
        plugins = site.load()
        (failure,) = plugins.failures
        assert failure.reason == "PLUGIN_CONFLICT"
        assert "ant and bee" in failure.message
        assert names(plugins) == ["builtin"]

    def test_two_components_of_one_name_fail_only_who_needs_them(self, site, registering):
        site.install("ant", registering("Same"))
        site.install("bee", registering("Same"), version="2.0")
        site.install("cat", registering("Other"))
        registry = site.load().registry
        with pytest.raises(PluginConflictError, match=r"ant 1\.0 and bee 2\.0"):
            registry.find("aggregator", "Same")
        assert registry.find("aggregator", "Other").distribution == "cat"
        assert registry.find("filter", "Same") is None
        assert registry.names("aggregator") == ["Other", "Same"]
        assert [c.name for c in registry.conflicts()] == ["Same"]

    def test_an_alias_conflicts_with_a_name(self, site, registering):
        site.install("ant", registering("Ant", aliases=["Bee"]))
        site.install("bee", registering("Bee"))
        registry = site.load().registry
        with pytest.raises(PluginConflictError):
            registry.find("aggregator", "Bee")
        assert registry.find("aggregator", "Ant").distribution == "ant"


class TestOneFilePlugins:
    def test_are_loaded_under_a_private_name(self, site, tmp_path, registering):
        folder = tmp_path / "plugins"
        folder.mkdir()
        source = "\n".join(line[12:] for line in registering("Own").splitlines())
        (folder / "json.py").write_text(source)
        (folder / "_ignored.py").write_text("1 / 0")
        path = list(sys.path)
        plugins = site.load(plugins_dir=folder)
        assert names(plugins) == ["builtin", "json"]
        found = plugins.registry.find("aggregator", "Own")
        assert found.target.startswith("_mmar_runner_plugins_")
        assert found.distribution == str(folder / "json.py")
        assert sys.modules["json"] is json
        assert sys.path == path

    def test_one_broken_file_is_isolated(self, site, tmp_path, registering):
        source = "\n".join(line[12:] for line in registering("Own").splitlines())
        (tmp_path / "good.py").write_text(source)
        (tmp_path / "bad.py").write_text("1 / 0")
        plugins = site.load(plugins_dir=tmp_path)
        assert names(plugins) == ["builtin", "good"]
        assert plugins.registry.broken().keys() == {"bad"}

    def test_a_missing_folder_is_wrong_usage(self, site, tmp_path):
        with pytest.raises(UsageError, match="does not exist"):
            site.load(plugins_dir=tmp_path / "nowhere")


class TestEvents:
    SOURCE = """
        from mmar_runner.hooks import hookimpl
        seen = []

        @hookimpl
        def mmar_on_event(event):
            seen.append(event)
            {then}
    """

    def test_reach_every_plugin_and_failures_are_returned(self, site):
        bad = site.install("ant", self.SOURCE.format(then="1 / 0"))
        good = site.install("bee", self.SOURCE.format(then="pass"))
        (failure,) = site.load().notify(EVENT)
        assert failure.plugin == "ant"
        assert "ZeroDivisionError" in failure.message
        assert sys.modules[bad].seen == sys.modules[good].seen == [EVENT]


WATCH = """
import json, sys, time
from mmar_runner.hooks import load_plugins
imported = time.process_time()
plugins = load_plugins()
loaded = time.process_time()
plugins.registry.descriptions()
print(json.dumps({"seconds": loaded - imported, "modules": sorted(sys.modules)}))
"""


def test_loading_all_bundled_plugins_is_quick_and_light():
    best = 10.0
    for _ in range(3):
        ran = subprocess.run(
            [sys.executable, "-c", WATCH], capture_output=True, text=True, check=True
        )
        seen = json.loads(ran.stdout)
        heavy = {"numpy", "torch", "jsonschema", "rich", "click", "grpc", "sklearn", "pytest"}
        assert not heavy & set(seen["modules"])
        best = min(best, seen["seconds"])
    # Processor time, about 0.03 s: a busy machine gets room, a heavy import does not.
    assert best < 0.06
