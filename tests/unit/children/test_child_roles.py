# SPDX-License-Identifier: Apache-2.0
"""Persistors, validators and filters in children of their own."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mmar_runner.children.process import ChildProcess
from mmar_runner.children.spec import ChildContext, ChildSpec
from mmar_runner.errors import TaskFailedError

PLUGINS = Path(__file__).parent / "plugins"
CONTEXT = {"client_name": "site-1", "round": 3, "kind": "weights", "seed": 1}


def asked(folder, role, component, *requests, **fields):
    """Start a child, make requests one after the other, return the answers."""

    async def scenario():
        spec = ChildSpec(role=role, component=component, plugins_dir=str(PLUGINS), **fields)
        child = await ChildProcess.start(spec, log=folder / "log")
        try:
            return [await child.request(method, params) for method, params in requests]
        finally:
            await child.close()

    return asyncio.run(scenario())


def test_a_persistor_makes_and_exports_models(tmp_path):
    model = tmp_path / "model"
    answers = asked(
        tmp_path,
        "model_persistor",
        {"name": "TextPersistor"},
        ("initial_model", {"destination": str(model), "seed": 12}),
        ("export", {"model": str(model), "folder": str(tmp_path)}),
    )
    assert answers == [{"bytes": 2}, {"file": str(tmp_path / "final.txt")}]
    assert (tmp_path / "final.txt").read_text() == "12"


def test_a_persistor_without_conversion_says_so(tmp_path):
    request = ("convert", {"checkpoint": "a.pt", "destination": str(tmp_path / "m")})
    with pytest.raises(TaskFailedError, match="TextPersistor reads no checkpoints") as caught:
        asked(tmp_path, "model_persistor", {"name": "TextPersistor"}, request)
    assert "safetensors" in caught.value.hint


def test_a_validator_measures_with_its_context(tmp_path):
    model = tmp_path / "model"
    model.write_bytes(b"12345")
    answers = asked(
        tmp_path,
        "model_validator",
        {"name": "SizeValidator"},
        ("validate", {"model": str(model)}),
        context=ChildContext(workspace=str(tmp_path), variables={"factor": 2}),
    )
    assert answers == [{"metrics": {"size": 10.0}}]


def test_filters_change_tensors_in_declared_order(tmp_path):
    source, destination = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    tensors = {"a": np.ones((2, 2), np.float32), "b": np.array(4, np.int64)}
    save_file(tensors, source)
    chain = [{"name": "Scale", "args": {"by": 2}}, {"name": "Scale", "args": {"by": 10}}]
    params = {"source": str(source), "destination": str(destination), "context": CONTEXT}
    (answer,) = asked(tmp_path, "filter", {"filters": chain}, ("filter", params))
    out = load_file(destination)
    assert out["a"].tolist() == [[53, 53], [53, 53]]  # (1 * 2 + 3) * 10 + 3
    assert out["b"].dtype == np.int64
    assert out["b"] == 113
    assert answer["bytes"] == destination.stat().st_size
    assert len(answer["sha256"]) == 64


def test_a_filter_that_changes_the_shape_is_named_and_writes_nothing(tmp_path):
    source, destination = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    save_file({"a": np.ones((2, 2), np.float32)}, source)
    params = {"source": str(source), "destination": str(destination), "context": CONTEXT}
    chain = {"filters": [{"name": "Flatten"}]}
    with pytest.raises(TaskFailedError, match=r"Flatten made float32\[4\] of tensor 'a'"):
        asked(tmp_path, "filter", chain, ("filter", params))
    assert not destination.exists()


def test_a_filter_that_returns_nothing_is_named_with_its_place(tmp_path):
    source, destination = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    save_file({"a": np.ones((2, 2), np.float32)}, source)
    params = {"source": str(source), "destination": str(destination), "context": CONTEXT}
    label = "the filter Forgetful (config/config_fed_client.json:9)"
    chain = {"filters": [{"name": "Scale"}, {"name": "Forgetful", "label": label}]}
    with pytest.raises(TaskFailedError) as caught:
        asked(tmp_path, "filter", chain, ("filter", params))
    assert caught.value.message == f"{label} made a NoneType of tensor 'a', not float32[2, 2]"
    assert "apply must return float32[2, 2]" in caught.value.hint


def kept_by(folder):
    return {name: str(folder / name) for name in ("state", "new_state", "ledger")}


def test_no_filter_gets_the_folder_of_another_that_is_numbered_by_its_name(tmp_path):
    source, destination = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    save_file({"a": np.ones(2, np.float32)}, source)
    chain = {"filters": [{"name": "Keeping_2"}, {"name": "Keeping"}, {"name": "Keeping"}]}
    context = {**CONTEXT, **kept_by(tmp_path), "secret": "07" * 32, "num_samples": 12.0}
    params = {"source": str(source), "destination": str(destination), "context": context}
    asked(tmp_path, "filter", chain, ("filter", params))
    assert {path.parent.name for path in (tmp_path / "ledger").rglob("rounds")} == {
        "Keeping",
        "Keeping_2",
        "Keeping_3",
    }


def test_each_filter_has_folders_and_a_secret_of_its_own(tmp_path):
    source, destination = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    save_file({"a": np.ones(2, np.float32)}, source)
    chain = {"filters": [{"name": "Keeping"}, {"name": "Keeping"}, {"name": "Scale"}]}
    context = {**CONTEXT, **kept_by(tmp_path), "secret": "07" * 32, "num_samples": 12.0}
    params = {"source": str(source), "destination": str(destination), "context": context}
    first, again = asked(tmp_path, "filter", chain, ("filter", params), ("filter", params))
    assert first["metrics"] == {**again["metrics"], "spent": 1.0}
    assert again["metrics"]["spent"] == 2
    assert (tmp_path / "ledger" / "Keeping_2" / "rounds").read_text() == "2"
    kept = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("rounds"))
    assert kept == [
        "ledger/Keeping/rounds",
        "ledger/Keeping_2/rounds",
        "new_state/Keeping/rounds",
        "new_state/Keeping_2/rounds",
    ]
    assert not (tmp_path / "new_state" / "Scale").exists()  # nothing is kept, nothing is synced
    alone = {"filters": [{"name": "Keeping"}]}
    (only,) = asked(tmp_path, "filter", alone, ("filter", params))
    secrets = {only["metrics"]["secret"], again["metrics"]["secret"], int("07" * 4, 16)}
    assert len(secrets) == 3


def test_differences_are_made_to_the_model_that_was_received_and_no_other(tmp_path):
    model, update = tmp_path / "model", tmp_path / "update"
    save_file({"a": np.array([3.0], np.float32)}, model)
    save_file({"a": np.array([5.0], np.float32)}, update)
    params = {
        "source": str(update),
        "destination": str(tmp_path / "out"),
        "context": CONTEXT,
        "received": str(model),
        "received_sha256": sha256(model.read_bytes()).hexdigest(),
    }
    chain = {"filters": [{"name": "Differing"}]}
    asked(tmp_path, "filter", chain, ("filter", params))
    assert load_file(tmp_path / "out")["a"].tolist() == [7.0]
    save_file({"a": np.array([4.0], np.float32)}, model)  # as a trainer could, in its folder
    with pytest.raises(TaskFailedError, match="was changed at this site") as caught:
        asked(tmp_path, "filter", chain, ("filter", params))
    assert caught.value.reason == "DIGEST"


def test_a_component_is_named_with_its_place_by_what_it_raises(tmp_path):
    label = "the model persistor TextPersistor (config/config_fed_server.json:4)"
    request = ("initial_model", {"destination": str(tmp_path / "no" / "m"), "seed": 1})
    with pytest.raises(TaskFailedError) as caught:
        asked(tmp_path, "model_persistor", {"name": "TextPersistor"}, request, label=label)
    assert caught.value.message.startswith(f"initial_model of {label} raised FileNotFoundError: ")


def test_a_component_that_cannot_be_built_says_where_it_is_declared(tmp_path):
    label = "the client trainer Moody (config/config_fed_client.json:3)"
    component = {"name": "Moody", "args": {"mood": "refuse"}}
    with pytest.raises(TaskFailedError, match="not today") as caught:
        asked(tmp_path, "client_trainer", component, label=label)
    assert f"it is {label}" in caught.value.hint


def test_a_method_of_another_role_is_refused(tmp_path):
    with pytest.raises(TaskFailedError, match="a model_persistor child answers no 'train'"):
        asked(tmp_path, "model_persistor", {"name": "TextPersistor"}, ("train", {}))


BYOC = """
from mmar_runner.interfaces.client_trainer import ClientTrainer, TrainResult
class MyTrainer(ClientTrainer):
    def train(self, task):
        task.update.touch()
        return TrainResult(5)
"""


def test_code_in_custom_runs_only_where_it_may(tmp_path):
    custom = tmp_path / "custom"
    custom.mkdir()
    (custom / "mine.py").write_text(BYOC)
    paths = {name: str(tmp_path / name) for name in ("model", "update", "state", "new_state")}
    task = ("train", {"run_number": 1, "round": 0, "num_rounds": 1, "seed": 1, **paths})
    component = {"path": "mine.MyTrainer"}
    fields = {"context": ChildContext("s", workspace=str(tmp_path))}
    with pytest.raises(TaskFailedError, match=r"mine\.MyTrainer") as caught:
        asked(tmp_path, "client_trainer", component, task, **fields)
    assert caught.value.reason == "COMPONENT_NOT_FOUND"
    (answer,) = asked(tmp_path, "client_trainer", component, task, custom_dir=str(custom), **fields)
    assert answer["num_samples"] == 5


@pytest.mark.parametrize(
    ("allowed", "refused"), [(None, False), (("not_this.",), True), ((), True)]
)
def test_a_child_refuses_a_path_that_the_policy_does_not_allow(tmp_path, allowed, refused):
    declared = {"filters": [{"path": "os.system", "args": {"command": "true"}}]}
    with pytest.raises(TaskFailedError) as caught:
        asked(tmp_path, "filter", declared, allowed_path_prefixes=allowed)
    assert (caught.value.reason == "COMPONENT_NOT_ALLOWED") is refused
