# SPDX-License-Identifier: Apache-2.0
"""`init plugin`, an installation by pip, and the `plugins` commands as a user has them."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.timeout(180)

PIP = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation")
BROKEN = "import no_such_module_at_all\n"
CLASHING = """
from mmar_runner.hooks import hookimpl

@hookimpl
def mmar_register_components(registry):
    registry.add(kind="aggregator", name="FedAvg", target=":Mine")
"""


def run(*command, cwd, packages=None, **environment):
    path = {"PYTHONPATH": str(packages)} if packages else {}
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def program(*words, cwd, packages=None, **environment):
    command = (sys.executable, "-m", "mmar_runner", *words)
    return run(*command, cwd=cwd, packages=packages, **environment)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def packages(folder):
    """Where a new plugin is installed: on the path of the program, and nowhere else."""
    begun = program("init", "plugin", "inner-mean", "--json", cwd=folder)
    assert begun.returncode == 0, begun.stderr
    assert (folder / "inner-mean" / "pyproject.toml").is_file()
    target = folder / "packages"
    installed = run(*PIP, "--target", target, folder / "inner-mean", cwd=folder)
    assert installed.returncode == 0, installed.stderr
    return target


def test_a_new_plugin_is_found(folder, packages):
    shown = program("plugins", "show", "InnerMean", "--json", cwd=folder, packages=packages)
    assert shown.returncode == 0, shown.stderr
    (component,) = json.loads(shown.stdout)["components"]
    assert component["kind"] == "aggregator"
    assert (component["distribution"], component["version"]) == ("inner-mean", "0.1.0")
    assert component["args_schema"]["properties"]["fraction"]["default"] == 0.1


def test_it_is_well_and_its_own_tests_pass(folder, packages):
    only = {"MMAR_RUNNER_PLUGINS": "inner-mean"}
    examined = program("plugins", "doctor", cwd=folder, packages=packages, **only)
    assert examined.returncode == 0, examined.stdout
    assert "0 problems" in examined.stdout
    suite = (sys.executable, "-m", "pytest", "-q", folder / "inner-mean")
    tested = run(*suite, cwd=folder, packages=packages)
    assert tested.returncode == 0, tested.stdout


def test_show_is_for_people(folder):
    shown = program("plugins", "show", "ModelAggregator", cwd=folder)
    assert shown.returncode == 0
    for word in ("FedAvg", "aggregation_weights", "exclude_vars", "mmar-runner-fedavg"):
        assert word in shown.stdout


def test_show_of_a_class_under_a_prefix(folder):
    shown = program("plugins", "show", "torch.optim.SGD", "--json", cwd=folder)
    (component,) = json.loads(shown.stdout)["components"]
    assert component["target"] == "torch.optim:SGD"


def test_show_of_nothing(folder):
    shown = program("plugins", "show", "FedAvgg", cwd=folder)
    assert shown.returncode == 1
    assert "did you mean 'FedAvg'?" in shown.stderr


def test_a_list_of_nothing_says_so_and_how_one_is_had(folder):
    shown = program("plugins", "list", "--kind", "filter", cwd=folder, MMAR_RUNNER_PLUGINS="")
    assert shown.returncode == 0
    assert "no filter is installed" in shown.stderr
    assert "--plugins-dir" in shown.stderr


def test_list_is_one_line_a_component(folder):
    listed = program("plugins", "list", "--kind", "aggregator", cwd=folder)
    assert listed.returncode == 0
    head, *rows = listed.stdout.splitlines()
    assert head.split() == ["KIND", "NAME", "FROM", "SUMMARY"]
    assert any(row.split()[:2] == ["aggregator", "FedAvg"] for row in rows)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("", {"builtin"}), ("mmar-runner-fedavg,metrics", {"builtin", "fedavg", "metrics"})],
)
def test_the_allow_list(folder, value, expected):
    listed = program("plugins", "list", "--json", cwd=folder, MMAR_RUNNER_PLUGINS=value)
    answer = json.loads(listed.stdout)
    assert {plugin["name"] for plugin in answer["plugins"]} == expected
    assert answer["broken"] == []


def test_a_name_on_the_allow_list_that_nothing_has_is_an_error(folder):
    chosen = {"MMAR_RUNNER_PLUGINS": "fedavg,fedagv"}
    listed = program("plugins", "list", cwd=folder, **chosen)
    assert listed.returncode == 1
    assert "FedAvg" in listed.stdout
    assert "error [PLUGIN_ABSENT]: " in listed.stderr
    assert "'fedagv', which is not installed" in listed.stderr
    assert "take it from MMAR_RUNNER_PLUGINS" in listed.stderr
    assert "doctor" not in listed.stderr
    told = program("plugins", "list", "--json", cwd=folder, **chosen)
    assert told.returncode == 1
    assert [each["reason"] for each in json.loads(told.stdout)["broken"]] == ["PLUGIN_ABSENT"]


def test_a_misspelt_schema_has_a_near_one(folder):
    refused = program("schema", "config_fed_srver", cwd=folder)
    assert refused.returncode == 2
    assert "hint: Did you mean 'config_fed_server'?" in refused.stderr
    assert "There are: " in program("schema", "qqqqq", cwd=folder).stderr


class TestBroken:
    @pytest.fixture
    def plugins_dir(self, tmp_path):
        (tmp_path / "broken.py").write_text(BROKEN)
        (tmp_path / "clashing.py").write_text(CLASHING)
        return tmp_path

    def test_the_rest_works(self, folder, plugins_dir):
        words = ("plugins", "list", "--plugins-dir", plugins_dir, "--json")
        listed = program(*words, cwd=folder, MMAR_RUNNER_PLUGINS="fedavg,echo")
        assert listed.returncode == 0
        answer = json.loads(listed.stdout)
        assert [b["plugin"] for b in answer["broken"]] == ["broken"]
        assert [c["name"] for c in answer["conflicts"]] == ["FedAvg"]
        assert "EchoTrainer" in {c["name"] for c in answer["components"]}

    def test_doctor_says_what_is_wrong(self, folder, plugins_dir):
        words = ("plugins", "doctor", "--plugins-dir", plugins_dir)
        chosen = {"MMAR_RUNNER_PLUGINS": "fedavg,echo"}
        told = program(*words, cwd=folder, **chosen)
        assert told.returncode == 1
        assert "no_such_module_at_all" in told.stdout
        assert "mmar-runner-fedavg 0.1.0" in told.stdout
        assert "mend:" in told.stdout
        assert "Traceback" not in told.stdout
        answer = json.loads(program(*words, "--json", cwd=folder, **chosen).stdout)
        assert answer["ok"] is False
        reasons = {problem["reason"] for problem in answer["problems"]}
        assert reasons == {"PLUGIN_LOAD", "PLUGIN_CONFLICT", "COMPONENT_IMPORT"}

    def test_every_word_names_the_folder_and_the_file(self, folder, plugins_dir):
        chosen = {"MMAR_RUNNER_PLUGINS": "fedavg,echo"}
        words = ("--plugins-dir", plugins_dir)
        told = program("plugins", "doctor", *words, cwd=folder, **chosen)
        clashing, text = plugins_dir / "clashing.py", " ".join(told.stdout.split())
        assert f"mend: correct it in {clashing}" in text
        assert f"mend: give it another name in {clashing}, or move that file out" in text
        assert "MMAR_RUNNER_PLUGINS" not in text
        assert "tell the authors" not in text
        doctor = f"mmar-runner plugins doctor --plugins-dir {plugins_dir}"
        listed = program("plugins", "list", *words, cwd=folder, **chosen)
        assert f"see `{doctor}`" in listed.stderr

        assert program("init", "mmar", "lacks-torch", cwd=folder).returncode == 0
        checked = program("validate-mmar", "lacks-torch", *words, cwd=folder, **chosen)
        assert f"Plugins that cannot be loaded: broken (`{doctor}` says why)" in checked.stdout

    def test_only_who_needs_the_name_is_refused(self, folder, plugins_dir):
        chosen = {"MMAR_RUNNER_PLUGINS": "fedavg,echo"}
        words = ("--plugins-dir", plugins_dir)
        refused = program("plugins", "show", "FedAvg", *words, cwd=folder, **chosen)
        assert refused.returncode == 1
        assert "is claimed by" in refused.stderr
        shown = program("plugins", "show", "EchoTrainer", *words, cwd=folder, **chosen)
        assert shown.returncode == 0


def test_what_a_handler_is_given_is_on_its_page(folder):
    shown = program("plugins", "kind", "handler", cwd=folder).stdout
    assert "class RunEvent:" in shown
    assert 'UPDATE_ACCEPTED = "UPDATE_ACCEPTED"' in shown
    assert "capitalize" not in shown
    page = json.loads(program("plugins", "kind", "handler", "--json", cwd=folder).stdout)
    assert (page["kind"], page["suite"]) == ("handler", "HandlerContract")


def test_doctor_warns_of_what_has_no_words(folder, tmp_path):
    source = CLASHING.replace(
        'name="FedAvg", target=":Mine"',
        """name="Mine", target=":Mine",
                 args_schema={"properties": {"limit": {"default": 1.0}}}""",
    )
    plugin = f"""
from mmar_runner.interfaces.aggregator import TensorwiseAggregator

class Mine(TensorwiseAggregator):
    def __init__(self, limit=1.0): ...
    def combine(self, name, tensors, weights): ...
{source}"""
    (tmp_path / "mine.py").write_text(plugin)
    words = ("plugins", "doctor", "--plugins-dir", tmp_path)
    told = program(*words, cwd=folder, MMAR_RUNNER_PLUGINS="")
    assert told.returncode == 0, told.stdout
    assert "warning: aggregator Mine" in told.stdout
    assert "it has no summary" in told.stdout
    assert "the argument 'limit' has no description" in told.stdout
    assert "0 problems, 2 warnings" in told.stdout
    answer = json.loads(program(*words, "--json", cwd=folder, MMAR_RUNNER_PLUGINS="").stdout)
    assert (answer["ok"], len(answer["warnings"])) == (True, 2)

    described = plugin.replace("1.0}}", '1.0, "description": "A limit."}}').replace(
        'name="Mine",', 'name="Mine", summary="Mine.",'
    )
    (tmp_path / "mine.py").write_text(described)
    assert "warning" not in program(*words, cwd=folder, MMAR_RUNNER_PLUGINS="").stdout


class TestInit:
    def test_a_new_mmar_is_valid(self, tmp_path):
        begun = program("init", "mmar", "my-study", "--json", cwd=tmp_path)
        assert begun.returncode == 0, begun.stderr
        assert json.loads(begun.stdout)["folder"] == "my-study"
        checked = program("validate-mmar", "my-study", "--strict", cwd=tmp_path)
        assert checked.returncode == 0, checked.stdout

    def test_nothing_is_overwritten(self, tmp_path):
        (tmp_path / "there").mkdir()
        (tmp_path / "there" / "mine.txt").write_text("mine")
        for what in ("mmar", "plugin"):
            refused = program("init", what, "there", cwd=tmp_path)
            assert refused.returncode == 2
            assert "not an empty folder" in refused.stderr
        assert [p.name for p in (tmp_path / "there").iterdir()] == ["mine.txt"]

    @pytest.mark.parametrize("name", ["3d", "a b", "-x/..", "class", "trailing-"])
    def test_a_name_that_is_none(self, tmp_path, name):
        refused = program("init", "plugin", "--", name, cwd=tmp_path)
        assert refused.returncode == 2
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        ("name", "kind", "why"),
        [
            ("mmar-runner", "filter", "a distribution 'mmar-runner' is installed"),
            ("MMAR.runner", "filter", "a distribution 'MMAR.runner' is installed"),
            ("json", "filter", "'json' is a module of Python's own"),
            ("pytest", "filter", "a distribution 'pytest' is installed"),
            ("yaml", "filter", "a package 'yaml' is installed"),
            ("FedAvg", "aggregator", "an installed plugin offers the aggregator 'FedAvg'"),
        ],
    )
    def test_a_name_that_is_taken(self, tmp_path, name, kind, why):
        refused = program("init", "plugin", name, "--kind", kind, cwd=tmp_path)
        assert refused.returncode == 2
        assert why in refused.stderr
        assert "choose another name" in refused.stderr
        assert not list(tmp_path.iterdir())
