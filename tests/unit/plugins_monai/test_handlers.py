# SPDX-License-Identifier: Apache-2.0
"""Handlers write where they may, work on what there is, and fail a task by their names."""

from __future__ import annotations

import sys
from threading import Event

import pytest
import torch
from ignite.engine import Engine
from monai.handlers import StatsHandler

from mmar_runner.errors import (
    ComponentBuildError,
    MmarRunnerError,
    NotAuthorizedError,
    TaskFailedError,
)
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner_monai.parts import Parts
from mmar_runner_monai.stopping import TerminateOnNan, TimeLimit

from .conftest import same

SAVER = {"save_dir": "models", "save_dict": ["model"], "save_interval": 1}


def test_files_are_written_in_the_workspace_alone(site) -> None:
    before = sorted(site.mmar.rglob("*"))
    arguments = {"log_dir": str(site.mmar / "logs"), "output_transform": "lambda x: None"}
    log = {"name": "TensorBoardStatsHandler", "args": arguments}
    site.but(lambda c: c["validate"]["handlers"].append(log)).trained()
    written = site.folder / "workspace"
    assert (written / "models" / "checkpoint_final_iteration=3.pt").is_file()
    assert list((written / "logs").glob("events.*"))
    assert sorted(site.mmar.rglob("*")) == before


PLANE = {"spatial_dims": 2, "in_channels": 1, "out_channels": 2}


@pytest.mark.parametrize("folder", ["../elsewhere", "/tmp/elsewhere"])  # noqa: S108
def test_no_other_folder_is_written_to(site, folder) -> None:
    other = site.but(lambda c: c["train"]["handlers"][2]["args"].update(save_dir=folder))
    # By its schema if that can tell, else by where it leads to.
    with pytest.raises(MmarRunnerError, match=r"outside the client's workspace|/args/save_dir"):
        other.trainer()


def test_what_is_saved_may_have_other_names(site) -> None:
    def change(config):
        config["train"]["handlers"][2]["args"]["save_dict"] = {"net": "model", "opt": "optimizer"}

    site.but(change).trained()
    (file,) = (site.folder / "workspace" / "models").iterdir()
    assert set(torch.load(file, weights_only=True)) == {"net", "opt"}


def test_a_handler_that_is_off_or_for_another_process_is_not_there(site) -> None:
    def change(config):
        config["train"]["handlers"][2]["rank"] = 1
        off = {"name": "CheckpointSaver", "args": SAVER, "disabled": True}
        config["train"]["handlers"].append(off)

    site.but(change).trained()
    assert not (site.folder / "workspace" / "models").exists()


def test_a_checkpoint_does_not_replace_the_global_model(site, caplog) -> None:
    loader = {"name": "CheckpointLoader", "args": {"load_path": "x.pt", "load_dict": ["model"]}}
    site.but(lambda c: c["train"]["handlers"].append(loader)).trained()
    assert "CheckpointLoader has no effect" in caplog.text


def test_a_handler_without_what_it_works_on_is_said(site) -> None:
    bare = site.but(lambda c: c["train"].pop("lr_scheduler"))
    with pytest.raises(TaskFailedError, match="LrScheduleHandler needs 'lr_scheduler'"):
        bare.trainer()


@pytest.mark.parametrize("error", [ValueError("broken"), SystemExit(3)])
def test_a_handler_that_fails_is_named(site, monkeypatch, error) -> None:
    def fails(_, __):
        raise error

    monkeypatch.setattr(StatsHandler, "iteration_completed", fails)
    said = f"train: StatsHandler failed: {type(error).__name__}"
    with pytest.raises(TaskFailedError, match=said):
        site.trained(site.task(validate=False))


def test_a_handler_of_an_evaluator_is_named(site, monkeypatch) -> None:
    def fails(*_):
        sys.exit("enough")

    monkeypatch.setattr(StatsHandler, "epoch_completed", fails)
    with pytest.raises(TaskFailedError, match="validate: StatsHandler failed: SystemExit: enough"):
        site.trained()


def test_what_a_handler_ends_early_is_a_shorter_round(site, caplog, monkeypatch) -> None:
    monkeypatch.setattr(StatsHandler, "iteration_completed", lambda _, engine: engine.terminate())
    quiet = site.but(lambda c: c["validate"]["handlers"].pop())
    task = site.task(validate=False)
    assert quiet.trained(task)[1].num_samples == 1
    assert "a handler ended the round after 1 of 3 iterations" in caplog.text


def test_what_ignite_cannot_attach_is_attached(site) -> None:
    named = [{"name": "TerminateOnNan"}, {"name": "TimeLimit", "args": {"limit_sec": 600}}]
    trained = site.but(lambda c: c["train"]["handlers"].extend(named)).trained()
    assert trained[1].num_samples == 3


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_ends_the_round(caplog, value) -> None:
    outputs = [[{"loss": torch.tensor(1.0), "pred": (1, "text")}], [{"loss": torch.tensor(value)}]]
    engine = Engine(lambda _, output: output)
    TerminateOnNan().attach(engine)
    engine.run([*outputs, *outputs], max_epochs=1)
    assert engine.state.iteration == 2
    assert "iteration 2: a value is not finite" in caplog.text


def test_a_time_limit_is_that_of_a_run(caplog) -> None:
    handler, clock = TimeLimit(limit_sec=1), Event()
    engine = Engine(lambda _, seconds: clock.wait(seconds))
    handler.attach(engine)
    engine.run([1.1, 0.0, 0.0], max_epochs=1)
    assert engine.state.iteration == 1
    assert "the time limit of 1 seconds is reached" in caplog.text
    engine.run([0.0, 0.0], max_epochs=1)
    assert engine.state.iteration == 2


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("transform", {"name": "LoadImaged", "args": {"keys": "image", "allow_pickle": True}}),
        ("model", {"name": "DenseNet121", "args": {**PLANE, "pretrained": True}}),
    ],
)
def test_a_part_neither_fetches_nor_loads_objects(site, kind, part) -> None:
    with pytest.raises(
        (NotAuthorizedError, ComponentBuildError), match=next(reversed(part["args"]))
    ):
        Parts(site.context()).build(ComponentKind(kind), part)


def test_a_reader_by_its_path_is_one_of_monai(site, tmp_path) -> None:
    ran = tmp_path / "ran"
    arguments = {"keys": "image", "reader": "subprocess.Popen"}
    harmful = {"name": "LoadImaged", "args": arguments}
    with pytest.raises(ComponentBuildError, match="subprocess"):
        Parts(site.context()).build(ComponentKind.TRANSFORM, harmful)
    assert not ran.exists()


def test_a_cache_that_changes_from_epoch_to_epoch_gets_its_handler(site) -> None:
    def change(config):
        smart = {"replace_rate": 0.5, "cache_num": 2, "num_init_workers": 1}
        config["train"]["dataset"].update(name="SmartCacheDataset", args=smart)
        config["train"]["handlers"].insert(0, {"name": "SmartCacheHandler"})

    changing = site.but(change)
    assert changing.trained(local_epochs=2)[1].num_samples == 2
    assert same(changing.trained()[0], changing.trained()[0])


def test_a_reference_leads_to_parts_in_their_places_alone(site) -> None:
    def hide(config):
        config["determinism"] = {"e": {"name": "hidden", "path": "monai.handlers.StatsHandler"}}
        config["train"]["x"] = [{"name": "beside"}]

    parts = Parts(site.context(), site.but(hide).config)
    assert parts.declared({"ref": "first"})["name"] == "EnsureChannelFirstd#first"
    for name in ("hidden", "beside"):
        with pytest.raises(ComponentBuildError, match=f"nothing is named or labelled '{name}'"):
            parts.declared({"ref": name})
