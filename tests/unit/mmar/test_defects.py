# SPDX-License-Identifier: Apache-2.0
"""One defect each: the validator finds it, alone, at the right place, and says the mend."""

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
    server("flare 2 job", "MMAR201", "/format_version", "/format_version", 2, "NVIDIA FLARE"),
    server("format version", "MMAR202", "/format_version", "/format_version", 7, "Write 1"),
    # shape
    server("num_rounds missing", "MMAR401", TASK, f"{TASK}/num_rounds", GONE, "num_rounds"),
    server(
        "num_rounds misspelt",
        "MMAR401",
        f"{TASK}/num_round",
        TASK,
        {"name": "task", "num_round": 3},
        "Did you mean 'num_rounds'",
    ),
    server("aggregator missing", "MMAR401", "", "/aggregator", GONE, "aggregator"),
    server("servers missing", "MMAR401", "", "/servers", GONE, "servers"),
    server("servers empty", "MMAR403", "/servers", "/servers", []),
    server("servers an object", "MMAR402", "/servers", "/servers", {}),
    server(
        "number in quotes",
        "MMAR402",
        f"{TASK}/num_rounds",
        f"{TASK}/num_rounds",
        "3",
        "without quotes",
        '"num_rounds": "3"',
    ),
    server("boolean number", "MMAR402", f"{TASK}/num_rounds", f"{TASK}/num_rounds", True),
    server("fraction", "MMAR402", f"{TASK}/num_rounds", f"{TASK}/num_rounds", 2.5),
    server("zero clients", "MMAR403", f"{TASK}/min_num_clients", f"{TASK}/min_num_clients", 0),
    server(
        "negative wait",
        "MMAR403",
        f"{TASK}/wait_after_min_clients",
        f"{TASK}/wait_after_min_clients",
        -1,
    ),
    server("unknown key", "MMAR404", "/agregator_args", "/agregator_args", 1, "unknown"),
    server("misspelt key", "MMAR404", "/handler", "/handler", [], "Did you mean 'handlers'"),
    server(
        "own key misplaced",
        "MMAR404",
        f"{TASK}/clients_per_round",
        f"{TASK}/clients_per_round",
        3,
        "top level",
    ),
    server("strict in quotes", "MMAR402", "/strict", "/strict", "true"),
    server("bad regex", "MMAR403", "/exclude_vars", "/exclude_vars", "(", "regular expression"),
    server(
        "long regex", "MMAR403", "/exclude_vars", "/exclude_vars", "a" * 1001, "longer than 1000"
    ),
    server("deadline zero", "MMAR403", "/round_deadline", "/round_deadline", 0),
    server("limit zero", "MMAR403", "/max_wait", "/max_wait", 0),
    server("no samples", "MMAR403", "/max_num_samples", "/max_num_samples", 0),
    server(
        "samples of a site as text",
        "MMAR402",
        "/max_num_samples/site-1",
        "/max_num_samples",
        {"site-1": "500"},
    ),
    server("aggregator a string", "MMAR402", "/aggregator", "/aggregator", "FedAvg"),
    server("handlers an object", "MMAR402", "/handlers", "/handlers", {"name": "Best"}),
    client("trainer missing", "MMAR401", "", "/client_trainer", GONE, "client_trainer"),
    client(
        "client unknown key",
        "MMAR404",
        "/client/outbound_filter",
        "/client/outbound_filter",
        [],
        "outbound_filters",
    ),
    train("negative seed", "MMAR403", "/determinism/random_seed", "/determinism/random_seed", -1),
    train("seed a string", "MMAR402", "/determinism/random_seed", "/determinism/random_seed", "0"),
    Defect("nested environment", "MMAR402", ENVIRONMENT, "/PATHS", ("environment/PATHS", {"A": 1})),
    # components
    server(
        "unknown aggregator",
        "MMAR501",
        "/aggregator/name",
        "/aggregator/name",
        "FedAgv",
        "'FedAvg'",
    ),
    server(
        "unknown handler",
        "MMAR501",
        "/handlers/0/name",
        "/handlers/0/name",
        "Nothing",
        "Installed handlers",
    ),
    server(
        "wrong kind",
        "MMAR502",
        "/handlers/0/name",
        "/handlers/0/name",
        "FedAvg",
        "is an aggregator, not a handler",
    ),
    server(
        "unknown path",
        "MMAR503",
        "/aggregator/path",
        "/aggregator",
        {"path": "os.path.join"},
        "os.path.join",
    ),
    client(
        "target without port",
        "MMAR403",
        f"{TASK}/service/target",
        f"{TASK}/service",
        {"target": "localhost"},
    ),
    server("path without class", "MMAR503", "/aggregator/path", "/aggregator", {"path": "NoSuch"}),
    server(
        "module not in custom",
        "MMAR508",
        "/aggregator/path",
        "/aggregator",
        {"path": "mine.Mean"},
        "custom/mine.py",
    ),
    server("no identity", "MMAR504", "/aggregator", "/aggregator", {"args": {}}),
    server(
        "name misspelt", "MMAR504", "/aggregator/nam", "/aggregator", {"nam": "FedAvg"}, "'name'"
    ),
    server("name a number", "MMAR402", "/aggregator/name", "/aggregator/name", 3),
    train("name and path", "MMAR505", "/train/optimizer/name", "/train/optimizer/name", "SGD"),
    server("renamed key", "MMAR506", "/aggregator/path2", "/aggregator/path2", "x.Y", "disabled"),
    server("component key", "MMAR507", "/aggregator/arg", "/aggregator/arg", {}, "'args'"),
    server(
        "unknown argument",
        "MMAR512",
        "/aggregator/args/exclude_var",
        "/aggregator/args/exclude_var",
        "x",
        "exclude_vars",
    ),
    server(
        "argument type",
        "MMAR513",
        "/aggregator/args/aggregation_weights/site-1",
        "/aggregator/args/aggregation_weights/site-1",
        "1",
    ),
    server("args a list", "MMAR402", "/aggregator/args", "/aggregator/args", []),
    server("disabled in quotes", "MMAR402", "/handlers/0/disabled", "/handlers/0/disabled", "yes"),
    server("aggregator disabled", "MMAR516", "/aggregator", "/aggregator/disabled", True),
    client(
        "trainer disabled", "MMAR516", "/client_trainer", "/client_trainer/disabled", True, "off"
    ),
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
    train(
        "unknown metric",
        "MMAR501",
        "/train/metrics/0/name",
        "/train/metrics/0/name",
        "AUX",
        "'AUC'",
    ),
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
    train("expression", "MMAR304", "/train/params", "/train/params", "#@model.parameters()"),
    # sense
    client(
        "task name",
        "MMAR601",
        f"{TASK}/name",
        f"{TASK}/name",
        "tusk",
        "Write 'task'",
        '"name": "tusk"',
    ),
    server(
        "minimum above maximum",
        "MMAR602",
        f"{TASK}/min_num_clients",
        f"{TASK}/min_num_clients",
        9,
        "above",
    ),
    server("no round", "MMAR603", f"{TASK}/start_round", f"{TASK}/start_round", 3, "not a count"),
    server("no round at all", "MMAR603", f"{TASK}/num_rounds", f"{TASK}/num_rounds", 0),
    server("draws too few", "MMAR604", "/clients_per_round", "/clients_per_round", 1),
    server("draws too many", "MMAR604", "/clients_per_round", "/clients_per_round", 9),
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
        "MMAR624",
        "/inbound_filters/0",
        "/inbound_filters",
        [{"name": "Scale", "args": {"factor": 2}}],
        "client's side",
    ),
    server(
        "filter of the model on the server",
        "MMAR624",
        "/outbound_filters/1",
        "/outbound_filters",
        [{}, {"name": "Scale", "args": {"factor": 2}}],
        "client's side",
    ),
    client(
        "handler of a client",
        "MMAR626",
        "/handlers/0",
        "/handlers",
        [{"name": "Best"}],
        "config_fed_server.json",
    ),
    server("no initial model", "MMAR608", "", "/model_persistor", GONE, "ckpt_preload_path"),
    server("persistor empty", "MMAR608", "/model_persistor", "/model_persistor", {}),
    server(
        "checkpoint missing", "MMAR621", "/ckpt_preload_path", "/ckpt_preload_path", "models/a.pt"
    ),
    server(
        "checkpoint outside", "MMAR610", "/ckpt_preload_path", "/ckpt_preload_path", "../../a.pt"
    ),
    server(
        "checkpoint address", "MMAR610", "/ckpt_preload_path", "/ckpt_preload_path", "file:///a.pt"
    ),
    Defect(
        "variable outside",
        "MMAR610",
        ENVIRONMENT,
        "/MMAR_CKPT_DIR",
        ("environment/MMAR_CKPT_DIR", "../models"),
    ),
    server(
        "deadline below wait", "MMAR611", "/round_deadline", "", {"round_deadline": 5, "wait": 10}
    ),
    server("validates with nothing", "MMAR617", "/validate_every", "/validate_every", 2),
    server(
        "two selectors", "MMAR618", "/handlers/1", "/handlers", [{"name": "Best"}, {"name": "Best"}]
    ),
    server(
        "two servers", "MMAR619", "/servers/1", "/servers", [{"name": "task", "num_rounds": 3}] * 2
    ),
    client("half cross-site", "MMAR616", "/cross_validate", "/cross_validate", True),
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
    if isinstance(value, dict) and "wait" in value:
        mmar.server["round_deadline"] = value["round_deadline"]
        mmar.task["wait_after_min_clients"] = value["wait"]
        return
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
