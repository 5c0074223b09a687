# SPDX-License-Identifier: Apache-2.0
"""Every older name resolves with the bundled plugins, is dropped, or is told of with a mend."""

from __future__ import annotations

import pytest

from mmar_runner.hooks import load_plugins
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.mmar.older.arguments import ARGUMENTS
from mmar_runner.mmar.older.entry import class_of, older_name
from mmar_runner.mmar.older.federated import FEDERATED, unavailable

KINDS = {str(kind) for kind in ComponentKind}
DECLARED = [one for one in FEDERATED.values() if one.what in KINDS and one.became]
FILTERS = [one for one in FEDERATED.values() if one.what == "filter" and one.needs_nothing]
GONE = [one for one in FEDERATED.values() if one.what in KINDS and one.instead]
BECAME = [one for one in DECLARED if one.became != one.name]


@pytest.fixture(scope="module")
def registry():
    return load_plugins().registry


def name_of(one):
    return one.name


@pytest.mark.parametrize("one", FEDERATED.values(), ids=name_of)
def test_it_has_one_fate(one):
    assert sum(map(bool, (one.became, one.needs_nothing, one.instead))) == 1
    assert not one.differs or one.became
    assert one.generations in {"3.1", "4", "3.1, 4"}


@pytest.mark.parametrize("one", DECLARED, ids=name_of)
@pytest.mark.parametrize("lead", ["", "medl.apps.fed_learn.", "nvflare.somewhere.deep."])
def test_what_became_something_resolves_by_name_and_by_any_path(one, lead, registry, mmar):
    found = registry.find(ComponentKind(one.what), one.name)
    assert found is not None, f"{one.became} lacks the alias {one.name}"
    assert found.name == one.became
    if lead:
        mmar.catalog = registry
        mmar.server["handlers"] = []
        slot, place = _slot(one.what)
        side = mmar.server if place[0] == "server" else mmar.client
        side[slot] = [{"path": f"{lead}{one.name}"}] if place[1] else {"path": f"{lead}{one.name}"}
        where = f"/{slot}/0/path" if place[1] else f"/{slot}/path"
        said = {f.code for f in mmar.findings() if f.pointer == where}
        assert "MMAR515" in said
        assert not said & {"MMAR501", "MMAR502", "MMAR503"}


@pytest.mark.parametrize(
    ("slot", "declared", "near"),
    [
        ("aggregator", {"name": "InTimeAcumulateWeightedAggregator"}, "InTimeAccumulateWeighted"),
        ("client_trainer", {"path": "medl.apps.fed_learn.trainers.ClientTrainr"}, "ClientTrainer"),
    ],
)
def test_an_older_name_that_is_misspelt_is_named(slot, declared, near, registry, mmar):
    mmar.catalog = registry
    side = mmar.server if slot == "aggregator" else mmar.client
    side[slot] = declared

    (found,) = [
        f for f in mmar.findings() if f.code in {"MMAR501", "MMAR503"} and slot in f.pointer
    ]

    assert found.hint.startswith(f"Did you mean '{near}")


def _slot(what):
    """Return the key of a kind, the side it stands on, and whether it is a list."""
    return {
        "aggregator": ("aggregator", ("server", False)),
        "model_persistor": ("model_persistor", ("server", False)),
        "model_validator": ("model_validator", ("server", False)),
        "handler": ("handlers", ("server", True)),
        "result_processor": ("result_processors", ("server", True)),
        "filter": ("outbound_filters", ("client", True)),
        "client_trainer": ("client_trainer", ("client", False)),
    }[what]


@pytest.mark.parametrize("one", FILTERS, ids=name_of)
def test_a_filter_that_needs_nothing_is_dropped_with_a_note(one, mmar):
    mmar.client["client"]["outbound_filters"].append({"name": one.name})
    mmar.server["inbound_filters"] = [{"name": one.name}]

    found = mmar.check()

    assert [f.code for f in found.report.findings] == ["MMAR212", "MMAR212"]
    assert [one.name for one in found.spec.client.outbound_filters] == ["Scale"]


@pytest.mark.parametrize("one", [one for one in GONE if one.what != "optimizer"], ids=name_of)
def test_what_is_not_available_is_one_error_with_a_mend(one, mmar):
    slot, (side, is_list) = _slot(one.what)
    holder = mmar.server if side == "server" else mmar.client
    declared = {"path": f"nvflare.app_common.homomorphic_encryption.x.{one.name}"}
    holder[slot] = [declared] if is_list else declared

    (found,) = (f for f in mmar.findings() if f.severity == "error")

    assert found.code == "MMAR221"
    assert found.hint.lower().startswith(one.instead.lower())


@pytest.mark.parametrize("one", [one for one in GONE if one.what == "optimizer"], ids=name_of)
def test_an_optimizer_that_is_not_available_is_one_error_in_a_workflow_of_today(one, mmar):
    mmar.train["train"]["optimizer"] = {"name": one.name, "args": {"lr": 0.1}}

    found = mmar.only()

    assert (found.code, found.pointer) == ("MMAR221", "/train/optimizer/name")
    assert "LocalDP" in found.hint


def test_homomorphic_encryption_is_one_finding_however_many_parts_it_has(mmar):
    mmar.server["aggregator"] = {"name": "HEInTimeAccumulateWeightedAggregator"}
    mmar.server["model_persistor"] = {"name": "HEPTFileModelPersistor"}
    mmar.server["shareable_generator"] = {"name": "HEModelShareableGenerator"}
    args = {"tenseal_context_file": "client_context.tenseal"}
    mmar.client["client"] = {
        "outbound_filters": [{"name": "HEModelEncryptor", "args": args}],
        "inbound_filters": [{"name": "HEModelDecryptor", "args": args}],
    }

    (found,) = (f for f in mmar.findings() if f.severity == "error")

    assert (found.code, found.pointer) == ("MMAR221", "/aggregator/name")
    assert found.message == (
        "'HEInTimeAccumulateWeightedAggregator' of older systems is not available here:"
        " there is no homomorphic encryption."
    )
    assert "SecureSum" in found.hint
    assert "SecAggFilter" in found.hint


@pytest.mark.parametrize("one", BECAME, ids=name_of)
def test_without_the_plugin_the_hint_says_what_it_became(one, mmar):
    slot, (side, is_list) = _slot(one.what)
    holder = mmar.server if side == "server" else mmar.client
    if one.name == "ModelAggregator":
        return  # which these tests' catalog has
    holder[slot] = [{"name": one.name}] if is_list else {"name": one.name}

    hints = [f.hint for f in mmar.findings() if f.code == "MMAR501"]

    assert f"An older name of {one.became}. It is in " in hints[0]


def test_class_paths_of_older_systems_alone_count_by_their_class():
    assert class_of("medl.apps.fed_learn.x.ModelAggregator") == "ModelAggregator"
    assert class_of("nvflare.ExcludeVars") == "ExcludeVars"
    for text in ("mine.ModelAggregator", "medl", "medlx.A", "xmedl.A", "medl..A", "medl.A b", 7):
        assert class_of(text) is None
    assert older_name({"name": "A", "path": "mine.B"}) is None
    assert older_name({"name": "A"}) == "A"
    assert older_name(["A"]) is None
    assert unavailable({"name": "FedAvg"}) is None


def test_an_own_class_of_the_same_name_is_the_archives_own(mmar):
    mmar.write("custom/medl_own.py", "class HEModelEncryptor: ...\n")
    mmar.client["client"]["outbound_filters"] = [{"path": "medl_own.HEModelEncryptor"}]

    assert "MMAR221" not in {f.code for f in mmar.findings()}


def test_arguments_are_those_of_names_that_are_known():
    assert set(ARGUMENTS) <= set(FEDERATED)
