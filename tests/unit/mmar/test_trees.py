# SPDX-License-Identifier: Apache-2.0
"""An MMAR that is meant for a tree of combiners: what they cannot add up is found before a run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mmar_runner.cli.main import main
from mmar_runner.cli.starting.validated import validated
from mmar_runner.combiner.run import require_composing
from mmar_runner.errors import RunFailedError
from mmar_runner.hooks import load_plugins
from mmar_runner.interfaces.catalog import ComponentDescription, ComponentKind
from mmar_runner.interfaces.tags import Tag
from mmar_runner.mmar.checks.case import Asked
from mmar_runner.mmar.validation import validate
from mmar_runner.server.settings import ServerSettings
from tests.unit.mmar.conftest import _COMPONENTS, FakeCatalog

MMARS = Path(__file__).parents[3] / "mmars"
TREE = Asked(combiners=True)


def _one(kind, name, *tags):
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    extras = {"tags": list(tags)}
    return ComponentDescription(
        ComponentKind(kind), name, f"not_there:{name}", schema, extras=extras
    )


@pytest.fixture
def job(mmar):
    more = (
        _one("aggregator", "Sum", Tag.COMPOSES),
        _one("aggregator", "Median"),
        _one("workflow", "Turns", Tag.ONE_AT_A_TIME),
        _one("workflow", "Buffer", Tag.ASYNCHRONOUS),
        _one("filter", "Look"),
    )
    mmar.catalog = FakeCatalog((*_COMPONENTS, *more))
    mmar.server["aggregator"] = {"name": "Sum"}
    return mmar


def _serious(job, **options):
    return [one for one in job.findings(**options) if one.severity != "note"]


def test_a_rule_that_composes_is_right_in_a_tree(job):
    job.server["combiners"] = True
    assert _serious(job) == []
    assert _serious(job, asked=TREE) == []


def test_a_rule_that_does_not_is_found_where_it_is_declared(job):
    job.server["aggregator"] = {"name": "Median"}
    assert _serious(job) == []
    job.server["combiners"] = True

    found = job.only()

    assert (found.code, found.severity, found.pointer) == ("MMAR654", "error", "/aggregator")
    assert found.line > 0
    assert "Median needs every site's update" in found.message
    assert found.hint == "Take Sum, or let the sites come to the server itself."


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("aggregator", {"name": "Median"}, "every site's update"),
        ("workflow", "Turns", "nothing to add up"),
        ("workflow", {"name": "Buffer"}, "several models"),
        ("clients_per_round", 2, "its own alone"),
        ("inbound_filters", [{"name": "Look"}], "Look of the server's inbound_filters"),
    ],
)
def test_every_obstacle_is_found_if_a_tree_is_asked_for(job, key, value, said):
    job.server[key] = value
    found = job.only(asked=TREE)
    assert (found.code, found.pointer) == ("MMAR654", f"/{key}")
    assert said in found.message
    assert _serious(job) == []
    job.server["combiners"] = False
    assert _serious(job) == []


def test_cross_site_validation_is_found_too(job):
    job.client["cross_validate"] = True
    job.client["cross_site_validation"] = {"is_participating": True}
    found = [one for one in _serious(job, asked=TREE) if one.code == "MMAR654"]
    assert [one.pointer for one in found] == ["/cross_validate"]
    asked = {"asked": TREE, "side": "server"}
    assert [one for one in _serious(job, **asked) if one.code == "MMAR654"] == []


def test_of_a_rule_of_its_own_nobody_can_say_yet(job):
    job.write("custom/mine.py", "class Rule:\n    composes = True\n")
    job.server["aggregator"] = {"path": "mine.Rule"}
    found = [one for one in _serious(job, asked=TREE) if one.code == "MMAR654"]
    assert [(one.severity, one.pointer) for one in found] == [("warning", "/aggregator")]
    assert "only once it is built" in found[0].message


def test_what_is_not_installed_is_no_second_finding(job):
    job.server["aggregator"] = {"name": "Medain"}
    assert {one.code for one in _serious(job, asked=TREE)} == {"MMAR501"}


def _refusal(name, settings, plugins):
    """Return why no combiner can work for an MMAR, or an empty text."""
    try:
        require_composing(settings, plugins)
    except RunFailedError as error:
        return error.message.removeprefix(f"no combiner can work for {name}: ")
    return ""


@pytest.mark.parametrize("name", sorted(path.name for path in MMARS.iterdir()))
def test_the_validator_says_of_a_server_what_a_combiner_says(name, tmp_path):
    """Of one whose model is made by code of its own, too: no combiner runs that."""
    plugins = load_plugins()
    spec = validated(MMARS / name, plugins, side="server", settings={})
    why = _refusal(name, ServerSettings(spec=spec, workspace=tmp_path), plugins)

    report = validate(MMARS / name, plugins.registry, side="server", asked=TREE).report

    said = [one.message for one in report.findings if one.code == "MMAR654"]
    assert said == ([f"Combiners cannot add these updates up: {why}."] if why else [])


@pytest.mark.parametrize(("options", "code"), [([], 0), (["--tree"], 1)])
def test_validate_mmar_asks_for_a_tree(options, code, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["validate-mmar", str(MMARS / "digits_robust"), "--json", *options])
    assert ended.value.code == code
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert [one["code"] for one in findings] == (["MMAR654"] if code else [])


def test_a_server_refuses_to_begin_a_run_that_is_meant_for_a_tree(tmp_path, capsys):
    mmar = Path(shutil.copytree(MMARS / "digits_robust", tmp_path / "robust"))
    file = mmar / "config" / "config_fed_server.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "combiners": True}))
    with pytest.raises(SystemExit) as ended:
        main(["run-server", str(mmar), "--insecure", "--workspace", str(tmp_path / "ws")])
    assert ended.value.code != 0
    assert "MMAR654" in capsys.readouterr().err
    assert not (tmp_path / "ws" / "run_1").exists()
