# SPDX-License-Identifier: Apache-2.0
"""A Clara workflow is trained: repeatably, round by round, by whatever process."""

from __future__ import annotations

import copy
import json
import re
import shutil
from dataclasses import replace

import pytest
import torch
from ignite.engine import Events

from mmar_runner.errors import ComponentBuildError, SchemaMismatchError, TaskFailedError
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner_torch.files import read_state

from .conftest import TRAINING, same

pytestmark = pytest.mark.timeout(120)  # Importing MONAI alone may take ten seconds.

ELSEWHERE = {"name": "Spacingd", "args": {"keys": ["elsewhere"], "pixdim": [1.0, 1.0, 1.0]}}


def test_a_round_trains_and_measures(site) -> None:
    told = []
    task = site.task(progress=lambda *step: told.append(step))
    trainer = site.trainer(local_epochs=2)
    result = trainer.train(task)
    before, after = read_state(task.model), read_state(task.update)
    assert not same(before, after)
    assert result.num_samples == TRAINING
    assert 0 < result.metrics["train_loss"] < 1
    assert list(result.validation) == ["val_mean_dice", "val_accuracy"]
    assert {total for _, total in told} == {2 * TRAINING}
    steps = [step for step, _ in told]
    assert steps == sorted(steps)
    # Every step, and the batches of the three measurements in between.
    assert [steps.count(step) for step in range(7)] == [2, 1, 1, 3, 1, 1, 3]
    losses = [trainer.train(site.task(n, model=task.update)).metrics["train_loss"] for n in (1, 2)]
    assert min(losses) < result.metrics["train_loss"]
    trainer.close()


def test_differences_are_sent_if_they_are_asked_for(site) -> None:
    task = site.task()
    weights, _ = site.trained(task)
    moved, result = site.trained(task, send="weight_diff")
    before = read_state(task.model)
    assert result.kind is UpdateKind.WEIGHT_DIFF
    assert all(torch.allclose(before[n] + moved[n], weights[n]) for n in before)


def test_the_received_model_is_measured_only_if_the_task_says_so(site) -> None:
    assert site.trained(site.task(validate=False))[1].validation == {}


def test_how_many_processes_prepare_samples_changes_no_byte(site, monkeypatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(2))
    two = site.but(lambda c: c["train"]["dataloader"]["args"].update(num_workers=2, batch_size=2))
    none = site.but(lambda c: c["train"]["dataloader"]["args"].update(batch_size=2))
    assert same(two.trained()[0], none.trained()[0])


def test_other_seeds_give_other_models(site) -> None:
    assert not same(site.trained()[0], site.trained(site.task(seed=8))[0])


@pytest.mark.parametrize("arguments", [{"local_epochs": 1}, {"steps_aggregation": 2}])
def test_a_process_that_is_replaced_between_rounds_changes_no_byte(site, arguments) -> None:
    tasks = [site.task(), None, None]
    trainer = site.trainer(**arguments)
    trainer.train(tasks[0])
    for number in (1, 2):
        tasks[number] = site.task(number, state=tasks[number - 1].new_state)
        trainer.train(tasks[number])
    trainer.close()
    again = site.task(2, state=tasks[1].new_state)
    assert same(site.trained(again, **arguments)[0], read_state(tasks[2].update))


def test_steps_go_on_where_the_last_round_stopped(site) -> None:
    seen = []
    trainer = site.trainer(steps_aggregation=2)
    batches = trainer._training.batches
    whole = batches._asked
    batches._asked = lambda at: seen.append(at) or whole(at)
    state, epochs = None, []
    for number in range(3):
        task = site.task(number, state=state)
        result = trainer.train(task)
        assert result.num_samples == 2
        state = task.new_state
        epochs.append(trainer._training.engine.state.epoch)
    trainer.close()
    assert [(at.epoch, at.batch) for at in seen] == [(0, 0), (0, 2), (1, 0), (1, 1)]
    assert len({at.seed for at in seen}) == 1
    assert epochs == [1, 2, 2]


def test_the_learning_rate_follows_the_epochs_of_the_run(site) -> None:
    trainer = site.trainer()
    rates = []
    for number in (0, 1, 5):
        trainer.train(site.task(number))
        rates.append(trainer._training.optimizer.param_groups[0]["lr"])
    trainer.close()
    assert rates == pytest.approx([0.01, 0.005, 0.00125])


def test_a_schedule_without_its_handler_has_no_effect_and_that_is_said(site, caplog) -> None:
    idle = site.but(lambda c: c["train"]["handlers"].pop(0))
    trainer = idle.trainer()
    trainer.train(site.task(5))
    assert trainer._training.optimizer.param_groups[0]["lr"] == 0.01
    assert "there is no LrScheduleHandler" in caplog.text


def test_the_optimizer_begins_anew_every_round(site) -> None:
    trainer = site.trainer()
    trainer.train(site.task())
    trainer.train(task := site.task(seed=9))
    trainer.close()
    assert same(site.trained(site.task(seed=9))[0], read_state(task.update))


def test_tensors_that_the_network_lacks_go_back_as_they_came(site, caplog) -> None:
    task = site.task(model=site.model(norm="batch"))
    after, _ = site.trained(task)
    before = read_state(task.model)
    lacking = [name for name in before if ".adn.N." in name]
    assert before.keys() == after.keys()
    assert lacking
    assert all(torch.equal(before[name], after[name]) for name in lacking)
    assert not torch.equal(before["model.0.conv.weight"], after["model.0.conv.weight"])
    assert f"lacks {len(lacking)} of the {len(before)} tensors" in caplog.text
    moved, _ = site.trained(task, send="weight_diff")
    assert not any(moved[name].any() for name in lacking)


def test_other_shapes_of_a_tensor_are_an_error(site) -> None:
    with pytest.raises(SchemaMismatchError, match=r"is float32\[3, 1"):
        site.trained(site.task(model=site.model(channels=[3, 4])))


def test_the_best_model_of_a_site_is_measured_once(site) -> None:
    trainer = site.trainer(keeps_best=True)
    runs = []
    trainer._evaluation.engine.add_event_handler(Events.COMPLETED, lambda _: runs.append(1))
    trainer.train(task := site.task())
    metrics = trainer.best_model(task.update.with_name("best"))
    assert list(metrics) == ["val_mean_dice", "val_accuracy"]
    assert len(runs) == 2  # the received model, and after the only epoch
    assert trainer.validate(task.update) == metrics
    trainer.close()


def test_mixed_precision_is_off_without_cuda_and_that_is_said(site, caplog) -> None:
    half = site.but(lambda c: c.update(amp=True))
    assert same(half.trained()[0], site.trained()[0])
    assert "amp is off, it needs CUDA" in caplog.text


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda c: c["train"].pop("loss"), TaskFailedError, "'loss'"),
        (
            lambda c: c["validate"]["pre_transforms"].append({"ref": "Nowhere"}),
            ComponentBuildError,
            "nothing is named or labelled 'Nowhere'",
        ),
        (
            lambda c: c["train"]["dataset"].update(data_list_key="test"),
            TaskFailedError,
            "has no 'test'",
        ),
        (
            lambda c: c["train"]["dataloader"]["args"].update(batch_size=9, drop_last=True),
            TaskFailedError,
            "train: 3 samples make no batch",
        ),
        (
            lambda c: c["train"]["handlers"][3]["args"].update(output_transform="lambda x: x()"),
            Exception,
            "nothing is called here",
        ),
        (
            lambda c: c["train"]["pre_transforms"].insert(1, ELSEWHERE),
            TaskFailedError,
            "train: the data set cannot be built: Spacingd: KeyError",
        ),
        (
            lambda c: c["train"]["pre_transforms"][2]["args"].update(spatial_size=[40] * 3),
            TaskFailedError,
            r"train: sample \d: RandCropByPosNegLabeld: ",
        ),
        (
            lambda c: c["train"]["model"]["args"].update(in_channels=2),
            TaskFailedError,
            r"validate: model 'UNet' \([\w./]+/train/model\) failed: RuntimeError: .*channels",
        ),
        (
            lambda c: c["validate"]["inferer"]["args"].update(roi_size=[16, 16]),
            TaskFailedError,
            r"validate: inferer 'SlidingWindowInferer' \([\w./]+/validate/inferer\) failed: ",
        ),
        (
            lambda c: c["train"].update(loss={"name": "DiceLoss", "args": {"to_onehot_y": False}}),
            TaskFailedError,
            r"train: loss 'DiceLoss' \([\w./]+/train/loss\) failed: AssertionError",
        ),
        (
            lambda c: c["train"]["pre_transforms"][2]["args"].update(pos="many"),
            ComponentBuildError,
            r"'RandCropByPosNegLabeld' \([\w./]+/train/pre_transforms/2\) cannot be built",
        ),
    ],
)
def test_what_is_wrong_is_said(site, change, error, said) -> None:
    wrong = site.but(change)
    with pytest.raises(error, match=said):
        wrong.trained()


def test_engines_that_are_not_declared_are_the_usual_ones(site):
    def change(config):
        del config["train"]["trainer"]
        del config["validate"]["evaluator"]

    expected, said = site.trained()
    update, result = site.but(change).trained()

    assert same(update, expected)
    assert result == said


def test_a_loss_that_is_not_finite_fails_the_round(site) -> None:
    wild = site.but(lambda c: c["train"]["optimizer"]["args"].update(lr=1e30))
    with pytest.raises(TaskFailedError, match="the loss became nan"):
        wild.trained(local_epochs=3)


@pytest.fixture
def written(site, tmp_path):
    """Return a function that changes the configuration, in an MMAR that holds it as a file."""

    def changed(change):
        made = replace(site.but(change), mmar=shutil.copytree(site.mmar, tmp_path / "mmar"))
        path = made.mmar / "config" / "config_train.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(made.config, indent=1))
        return made, path.read_text().splitlines()

    return changed


@pytest.mark.parametrize(
    ("section", "number", "change", "said"),
    [
        ("validate", 1, {"output_transform": "lambda x: (x['nothing'], x['label'])"}, "KeyError"),
        ("validate", 1, {"output_transform": "lambda x: x['pred']"}, "failed: "),
        ("train", 0, {"output_transform": "lambda x: (x['pred'], x['nothing'])"}, "KeyError"),
    ],
)
def test_a_metric_that_fails_is_named_with_its_place(written, section, number, change, said):
    wrong, lines = written(lambda c: c[section]["metrics"][number]["args"].update(change))
    with pytest.raises(TaskFailedError, match=said) as failed:
        wrong.trained()
    told = re.compile(r"metric '(\w+)' \(config/config_train.json:(\d+)\) failed")
    found = told.search(str(failed.value))
    assert f'"name": "{found[1]}"' in lines[int(found[2])]


def test_a_metric_that_cannot_be_built_is_named_with_its_place(written):
    def change(config):
        metric = {"path": "ignite.metrics.Precision", "args": {"x": 1}}
        config["validate"]["metrics"][0] = metric

    wrong, _ = written(change)
    with pytest.raises(ComponentBuildError, match=r"'Precision' \(config/config_train.json:\d+\)"):
        wrong.trainer()


def test_a_metric_of_the_validation_file_is_named_with_its_place(site):
    wrong = replace(site, validation=copy.deepcopy(site.config["validate"]))
    del wrong.validation["handlers"]
    wrong.validation["metrics"][0]["args"]["output_transform"] = "lambda x: x['nothing']"
    validator = wrong.validator()
    with pytest.raises(
        TaskFailedError, match=r"\(config/config_validation.json/metrics/0\) failed"
    ):
        validator.validate(wrong.model())


_SHARED = {"to_onehot_y": True, "softmax": True}


@pytest.mark.parametrize(
    "loss",
    [
        {"name": "DiceCELoss", "args": {**_SHARED, "weight": [0.2, 1.0], "lambda_ce": 0.5}},
        {"name": "DiceLoss", "args": {**_SHARED, "weight": [0.2, 1.0]}},
        {"name": "DiceFocalLoss", "args": {**_SHARED, "weight": [0.2, 1.0]}},
        {"name": "FocalLoss", "args": {"to_onehot_y": True, "weight": [0.2, 1.0]}},
        {"name": "GeneralizedWassersteinDiceLoss", "args": {"dist_matrix": [[0, 1], [1, 0]]}},
    ],
    ids=lambda loss: loss["name"],
)
def test_a_loss_takes_its_weights_as_lists(site, loss):
    weighted = site.but(lambda c: c["train"].update(loss=loss)).trained(site.task(validate=False))
    assert weighted[1].num_samples == 3


def test_distances_that_are_no_matrix_are_said(site):
    loss = {"name": "GeneralizedWassersteinDiceLoss", "args": {"dist_matrix": [[0, 1], [1]]}}
    with pytest.raises(ComponentBuildError, match="'dist_matrix' is no row or matrix of numbers"):
        site.but(lambda c: c["train"].update(loss=loss)).trainer()
