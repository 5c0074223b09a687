# SPDX-License-Identifier: Apache-2.0
"""Whatever stands in the files, the validator answers with findings, never with a traceback."""

from __future__ import annotations

import json
from copy import deepcopy

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.folder import open_folder
from mmar_runner.mmar.upgrading.plan import plan_upgrade

ONE_FOLDER = settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
_KEYS = st.sampled_from(
    ["name", "path", "args", "disabled", "servers", "model", "steps", "x", "num_rounds", "ref"]
)
_JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "FedAvg", "Net", "{A}", "{CLIENT_NAME}", "a.b", "../x", "(", "dummy"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=8,
)


def _paths(value, path=()):
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _paths(child, (*path, key))


def _put(value, path, junk):
    for part in path[:-1]:
        value = value[part]
    value[path[-1]] = junk


@ONE_FOLDER
@given(st.data())
def test_junk_anywhere_gives_findings(mmar, data):
    good = {n: deepcopy(getattr(mmar, n)) for n in ("server", "client", "train", "environment")}
    file = data.draw(st.sampled_from(sorted(good)))
    path = data.draw(st.sampled_from(sorted(_paths(good[file]), key=str)))
    changed = deepcopy(good)
    _put(changed[file], path, data.draw(_JUNK))
    for name, value in changed.items():
        path = "environment" if name == "environment" else f"config_fed_{name}"
        path = "config_train" if name == "train" else path
        mmar.write(f"config/{path}.json", json.dumps(value))

    checked = mmar.check(saved=True)

    for finding in checked.report.findings:
        assert finding.line >= 0
        assert finding.message
    if checked.report.valid:
        assert checked.spec.server is not None
        assert checked.spec.client is not None


@ONE_FOLDER
@given(st.text(alphabet='{}[]",: \n\\abntrue01.-', max_size=60))
def test_any_text_gives_findings(mmar, text):
    mmar.save()
    mmar.write("config/config_fed_server.json", text)

    assert not mmar.check(saved=True).report.valid


@ONE_FOLDER
@given(_JUNK)
def test_older_files_may_hold_junk_too(mmar, junk):
    mmar.server = {
        "servers": [{"name": "t", "num_rounds": 2, "exclude_vars": junk}],
        "aggregator": {"name": "ModelAggregator"},
        "model_saver": junk,
        "pre_processors": junk,
        "admin_cmd_modules": junk,
    }
    mmar.client = {
        "client": {
            "local_epochs": junk,
            "exclude_vars": junk,
            "cross_site_validate": junk,
            "privacy": junk,
            "pre_processors": junk,
            "post_processors": [junk],
            "model_validator": junk,
        }
    }

    assert mmar.check().report.generation == "clara-3.1"


@settings(parent=ONE_FOLDER, max_examples=60)
@given(_JUNK, st.sampled_from([1, None]))
def test_an_upgrade_of_junk_is_no_error_and_a_second_one_changes_nothing(mmar, junk, version):
    older = {"name": "IntimeModelSelector", "args": junk}
    mmar.server = {
        "servers": [{"name": "t", "exclude_vars": junk, "validate_on_server": junk}],
        "aggregator": junk,
        "persistor": {"name": "PTFileModelPersistor", "args": junk},
        "pre_processors": [{"name": "ModelEncryptor"}, junk],
        "handlers": [junk, older],
        "shareable_generator": junk,
        "admin_cmd_modules": [junk],
    }
    mmar.client = {
        "client": {"privacy": junk, "pre_processors": junk, "inbound_filters": [junk, older]},
        "cross_site_validation": junk,
        "client_trainer": {"name": "ClientTrainer", "args": junk},
    }
    if version:
        mmar.server["format_version"] = mmar.client["format_version"] = version
    plan = plan_upgrade(open_folder(mmar.save(), Findings()), mmar.catalog)
    for file, text in plan.texts.items():
        mmar.write(file, text)

    again = plan_upgrade(open_folder(mmar.root, Findings()), mmar.catalog)

    assert again.texts == {}
