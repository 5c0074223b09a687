# SPDX-License-Identifier: Apache-2.0
"""Defects that no folder of tests/broken_mmars has: mostly of components that nobody bundles.

Found alone and at the right place all the same, with a catalog that is a table.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

SERVER = "config/config_fed_server.json"
CLIENT = "config/config_fed_client.json"
TRAIN = "config/config_train.json"
ENVIRONMENT = "config/environment.json"


@dataclass(frozen=True)
class Defect:
    name: str
    code: str
    file: str
    pointer: str
    set: tuple[str, Any]
    says: str = ""
    line_of: str | None = None


def server(name, code, pointer, where, value, says="", line_of=None):
    return Defect(name, code, SERVER, pointer, (f"server{where}", value), says, line_of)


def client(name, code, pointer, where, value, says="", line_of=None):
    return Defect(name, code, CLIENT, pointer, (f"client{where}", value), says, line_of)


def train(name, code, pointer, where, value, says="", line_of=None):
    return Defect(name, code, TRAIN, pointer, (f"train{where}", value), says, line_of)


GONE = object()
TASK = "/servers/0"

DEFECTS = [
    # another system, another version
    # shape
    server("aggregator missing", "MMAR401", "", "/aggregator", GONE, "aggregator"),
    server("servers missing", "MMAR401", "", "/servers", GONE, "servers"),
    server("unknown key", "MMAR404", "/agregator_args", "/agregator_args", 1, "unknown"),
    server("strict in quotes", "MMAR402", "/strict", "/strict", "true"),
    server(
        "long regex", "MMAR403", "/exclude_vars", "/exclude_vars", "a" * 1001, "longer than 1000"
    ),
    server("limit zero", "MMAR403", "/max_wait", "/max_wait", 0),
    server("no samples", "MMAR403", "/max_num_samples", "/max_num_samples", 0),
    server(
        "samples of a site as text",
        "MMAR402",
        "/max_num_samples/site-1",
        "/max_num_samples",
        {"site-1": "500"},
    ),
    client(
        "client unknown key",
        "MMAR404",
        "/client/outbound_filter",
        "/client/outbound_filter",
        [],
        "outbound_filters",
    ),
    train("seed a string", "MMAR402", "/determinism/random_seed", "/determinism/random_seed", "0"),
    # components
    server(
        "unknown handler",
        "MMAR501",
        "/handlers/0/name",
        "/handlers/0/name",
        "Nothing",
        "Installed handlers",
    ),
    server(
        "unknown path",
        "MMAR503",
        "/aggregator/path",
        "/aggregator",
        {"path": "os.path.join"},
        "os.path.join",
    ),
    server(
        "module not in custom",
        "MMAR508",
        "/aggregator/path",
        "/aggregator",
        {"path": "mine.Mean"},
        "custom/mine.py",
    ),
    server("name a number", "MMAR402", "/aggregator/name", "/aggregator/name", 3),
    server("args a list", "MMAR402", "/aggregator/args", "/aggregator/args", []),
    server(
        "nested unknown",
        "MMAR501",
        "/model_persistor/args/model/name",
        "/model_persistor/args/model/name",
        "Nett",
        "'Net'",
    ),
    server(
        "nested argument missing",
        "MMAR511",
        "/model_persistor/args/model/args",
        "/model_persistor/args/model/args",
        {},
        "width",
    ),
    server(
        "nested argument value",
        "MMAR514",
        "/model_persistor/args/model/args/width",
        "/model_persistor/args/model/args/width",
        0,
        "below 1",
    ),
    server(
        "nested in a list",
        "MMAR501",
        "/handlers/0/args/steps/1/name",
        "/handlers/0",
        {"name": "Chain", "args": {"steps": [{"name": "Best"}, {"name": "Besd"}]}},
    ),
    client(
        "argument missing",
        "MMAR511",
        "/client/outbound_filters/0/args",
        "/client/outbound_filters/0/args",
        {},
        "factor",
    ),
    client(
        "args missing",
        "MMAR511",
        "/client/outbound_filters/0",
        "/client/outbound_filters/0",
        {"name": "Scale"},
        "factor",
    ),
    client(
        "trainer argument",
        "MMAR514",
        "/client_trainer/args/local_epochs",
        "/client_trainer/args/local_epochs",
        0,
    ),
    train("unknown part", "MMAR501", "/train/model/name", "/train/model/name", "Ned", "'Net'"),
    train("trainer schema", "MMAR402", "/train/batch_size", "/train/batch_size", "big"),
    train("part missing", "MMAR401", "/train", "/train/model", GONE, "model"),
    train("reference", "MMAR517", "/train/post/0/ref", "/train/post", [{"ref": "Nott"}], "Nott"),
    # variables
    server(
        "undefined in a component",
        "MMAR301",
        "/aggregator/args/exclude_vars",
        "/aggregator/args/exclude_vars",
        "{SKIP}",
        "--set SKIP",
    ),
    server("undefined number", "MMAR301", f"{TASK}/num_rounds", f"{TASK}/num_rounds", "{ROUNDS}"),
    train(
        "undefined",
        "MMAR301",
        "/train/optimizer/args/lr",
        "/train/optimizer/args/lr",
        "{learning_rat}",
        "'learning_rate'",
    ),
    train("circle", "MMAR302", "/a", "/a", "{a}"),
    # sense
    server("no round at all", "MMAR603", f"{TASK}/num_rounds", f"{TASK}/num_rounds", 0),
    Defect(
        "not undone",
        "MMAR605",
        CLIENT,
        "/client/outbound_filters/0",
        ("client/client/outbound_filters", [{"name": "Pack"}]),
        "Unpack",
    ),
    server(
        "filter on the server",
        "MMAR513",
        "/inbound_filters/0/args/factor",
        "/inbound_filters",
        [{"name": "Scale", "args": {"factor": "half"}}],
    ),
    server(
        "filter of the model on the server",
        "MMAR501",
        "/outbound_filters/1/name",
        "/outbound_filters",
        [{}, {"name": "Scael", "args": {"factor": 2}}],
        "Scale",
    ),
    server("persistor empty", "MMAR608", "/model_persistor", "/model_persistor", {}),
    Defect(
        "topic",
        "MMAR607",
        CLIENT,
        "/client_trainer",
        ("server/result_processors", [{"name": "Matrix"}]),
        "metrics",
    ),
    server("kinds of update", "MMAR620", "/aggregator", "/aggregator", {"name": "OnlyDiffs"}),
]


def _apply(mmar, place, value):
    root, *parts = place.split("/")
    target = getattr(mmar, root)
    for part in parts[:-1]:
        target = target[int(part) if isinstance(target, list) else part]
    key = int(parts[-1]) if isinstance(target, list) else parts[-1]
    if value is GONE:
        del target[key]
    else:
        target[key] = value


def _value_at(text, pointer):
    value = json.loads(text)
    for part in pointer.split("/")[1:]:
        value = value[int(part) if isinstance(value, list) else part]
    return value


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda d: d.name)
def test_a_defect_is_found_alone_and_in_its_place(mmar, defect):
    _apply(mmar, *defect.set)

    found = mmar.only()

    assert (found.code, found.file, found.pointer) == (defect.code, defect.file, defect.pointer)
    assert defect.says in f"{found.message} {found.hint}"
    text = (mmar.root / defect.file).read_text()
    _value_at(text, found.pointer)  # the pointer leads somewhere in the file as it is
    line = text.splitlines()[found.line - 1]
    name = found.pointer.rpartition("/")[2]
    if name and not name.isdigit():
        assert f'"{name}":' in line
    assert 1 <= found.column <= len(line)
    if defect.line_of:
        assert defect.line_of in line


def test_a_path_that_a_variable_brought_hides_none_that_is_written(mmar):
    mmar.environment["ELSEWHERE"] = "/data/../other"
    mmar.train["train"]["paths"] = ["{ELSEWHERE}", "../../outside"]
    assert [(f.code, f.pointer) for f in mmar.findings() if f.code == "MMAR610"] == [
        ("MMAR610", "/train/paths/1")
    ]


def test_the_good_mmar_has_no_finding(mmar):
    checked = mmar.check()

    assert checked.report.findings == ()
    assert checked.report.valid
    assert checked.report.deployable


def test_every_defect_is_found_at_once(mmar):
    mmar.task["num_rounds"] = "3"
    mmar.server["aggregator"]["name"] = "FedAgv"
    mmar.client["servers"][0]["name"] = "other"
    mmar.train["train"]["model"]["name"] = "Nett"
    mmar.environment["LIST"] = []

    codes = [(f.file, f.code) for f in mmar.findings()]

    assert codes == [
        (CLIENT, "MMAR601"),
        (SERVER, "MMAR402"),
        (SERVER, "MMAR501"),
        (TRAIN, "MMAR501"),
        (ENVIRONMENT, "MMAR402"),
    ]


def test_two_handlers_alike_are_doubtful_and_two_of_one_kind_are_not(mmar):
    best, hook = {"name": "Best"}, {"name": "Chain"}
    other = {"name": "Chain", "args": {"steps": [{"name": "Chain"}]}}
    mmar.server["handlers"] = [hook, best, other, {**hook, "disabled": True}]
    assert mmar.findings() == ()

    mmar.server["handlers"] = [hook, best, {"name": "Chain", "args": {}}]
    found = mmar.only()
    assert (found.code, found.pointer) == ("MMAR647", "/handlers/2")
    assert found.message == "'Chain' is declared twice with the same arguments."
