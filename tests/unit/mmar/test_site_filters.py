# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a site's own filters is known before anything runs."""

from __future__ import annotations

import pytest

from mmar_runner.hooks.registrar import Origin, Registrar
from mmar_runner.hooks.registry import ComponentRegistry
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.mmar.checks.site_filters import filter_faults
from mmar_runner.security.policy.site_policy import SitePolicy

KEEP = {
    "type": "object",
    "properties": {"share": {"type": "number", "minimum": 0, "maximum": 1}},
    "additionalProperties": False,
}
CHAIN = {
    "type": "object",
    "properties": {"steps": {"type": "array", "x-component": "filter"}},
    "additionalProperties": False,
}


def registry(*distributions, **filters):
    """Return a catalog in which every distribution registers the same filters."""
    made = ComponentRegistry()
    for distribution in distributions or ("plugin",):
        registrar = Registrar(Origin(distribution, distribution, "1.0", "module"))
        for name, schema in filters.items():
            registrar.add(kind="filter", name=name, target="module:x", args_schema=schema)
        made.accept(registrar)
    return made


def faults(catalog, *filters, way="outbound", side="client"):
    own = tuple({"name": name, "args": args} for name, args in filters)
    return filter_faults(SitePolicy(mandatory_filters={way: own}), catalog, side)


def test_filters_that_are_installed_and_take_their_arguments_have_no_fault():
    assert faults(registry(Keep=KEEP), ("Keep", {"share": 0.5}), ("Keep", {})) == ()


@pytest.mark.parametrize(
    ("args", "path", "says", "hint", "at_key"),
    [
        ({"shaer": 0.0}, "shaer", "Keep (plugin 1.0): argument 'shaer'", "'share'", True),
        (
            {"share": 5},
            "share",
            "Keep (plugin 1.0): argument 'share': 5 is above 1.",
            "Correct",
            False,
        ),
    ],
)
def test_wrong_arguments_are_faults_with_their_place(args, path, says, hint, at_key):
    (fault,) = faults(registry(Keep=KEEP), ("Keep", {}), ("Keep", args))

    assert (fault.way, fault.path) == ("outbound", (1, "args", path))
    assert (fault.reason, fault.at_key) == ("COMPONENT_ARGUMENTS", at_key)
    assert says in fault.message
    assert hint in fault.hint
    assert f"/mandatory_filters/outbound/1/args/{path} in the site's policy" in fault.hint


def test_a_filter_within_a_filter_is_looked_at_too():
    steps = [{"name": "Keep", "args": {"share": 2}}, {"name": "Kep"}, {"disabled": True}, {}]

    wrong, absent = faults(registry(Chain=CHAIN, Keep=KEEP), ("Chain", {"steps": steps}))

    assert wrong.path == (0, "args", "steps", 0, "args", "share")
    assert (absent.path, absent.reason) == ((0, "args", "steps", 1), "COMPONENT_NOT_FOUND")
    assert "'Keep'" in absent.hint


def test_two_plugins_that_claim_a_name_are_a_fault():
    (fault,) = faults(registry("one", "other", Keep=KEEP), ("Keep", {}), way="inbound")

    assert (fault.way, fault.path, fault.reason) == ("inbound", (0,), "PLUGIN_CONFLICT")
    assert "claimed by one 1.0 and other 1.0" in fault.message
    assert "uninstall one" in fault.hint


def test_what_only_a_folder_of_further_plugins_offers_does_not_count():
    catalog = registry(Keep=KEEP)
    catalog.installed = registry(Other=KEEP)

    (fault,) = faults(catalog, ("Keep", {}))

    assert catalog.find(ComponentKind.FILTER, "Keep") is not None
    assert fault.reason == "COMPONENT_NOT_FOUND"
    assert "--plugins-dir does not count" in fault.hint


def test_a_server_runs_none():
    assert faults(registry(), ("Keep", {}), side="server") == ()
