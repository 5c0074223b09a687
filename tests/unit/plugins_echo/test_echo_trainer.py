# SPDX-License-Identifier: Apache-2.0
"""The echo trainer and its model, on real files."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mmar_runner.errors import FormatError
from mmar_runner.interfaces.client_trainer import TrainerContext, TrainTask
from mmar_runner_echo.persistor import EchoModelPersistor
from mmar_runner_echo.plugin import PERSISTOR_ARGS, TRAINER_ARGS
from mmar_runner_echo.trainer import EchoTrainer


def task(folder, number=0, seed=5):
    folder.mkdir(exist_ok=True)
    return TrainTask(
        run_number=1,
        round=number,
        num_rounds=3,
        seed=seed,
        model=folder / "global.safetensors",
        update=folder / "update.safetensors",
        state=folder,
        new_state=folder,
    )


def trainer(folder, **args):
    made = EchoTrainer(**args)
    made.setup(
        TrainerContext(
            client_name="site-1",
            mmar=folder,
            workspace=folder,
            train_config={},
            validation_config={},
            variables={},
            blueprint=lambda kind, declaration: None,
        )
    )
    return made


@pytest.fixture
def model(tmp_path):
    tensors = {
        "weight": np.arange(600_000, dtype=np.float32).reshape(2, -1),
        "half": np.ones(3, np.float16),
        "brain": np.ones(5, ml_dtypes.bfloat16),
        "steps": np.array(7, np.int64),
        "mask": np.array([True, False]),
        "empty": np.zeros((0, 4), np.float32),
    }
    save_file(dict(tensors), tmp_path / "global.safetensors")
    return tensors


def test_the_constant_is_added_to_floats_alone(tmp_path, model):
    result = trainer(tmp_path, constant=2.5, num_samples=4).train(task(tmp_path))
    update = load_file(tmp_path / "update.safetensors")
    for name, before in model.items():
        assert update[name].dtype == before.dtype
        added = 0 if name in {"steps", "mask"} else 2.5
        expected = before if not added else (before + before.dtype.type(added))
        assert np.array_equal(update[name], expected)
    assert result.num_samples == 4


def test_a_longer_update_of_an_earlier_round_is_overwritten(tmp_path, model):
    file = tmp_path / "update.safetensors"
    file.write_bytes(b"x" * 10_000_000)
    inode = file.stat().st_ino
    trainer(tmp_path).train(task(tmp_path))
    assert file.stat().st_ino == inode
    assert load_file(file)["half"].tolist() == [2, 2, 2]


def test_noise_comes_from_the_seed(tmp_path, model):
    def update(seed):
        trainer(tmp_path, noise=0.5).train(task(tmp_path, seed=seed))
        return (tmp_path / "update.safetensors").read_bytes()

    assert update(1) == update(1)
    assert update(1) != update(2)
    change = load_file(tmp_path / "update.safetensors")["weight"] - model["weight"]
    assert abs(change.std() - 0.5) < 0.05


def test_nan_is_written_where_it_was_asked_for(tmp_path, model):
    echo = trainer(tmp_path, fail_in_round=1, behaviour="nan")
    finite = []
    for number in range(3):
        echo.train(task(tmp_path, number))
        weights = load_file(tmp_path / "update.safetensors").values()
        finite.append(all(np.isfinite(np.asarray(w, np.float64)).all() for w in weights))
    assert finite == [True, False, True]


def test_exceptions_and_exits_are_real(tmp_path, model):
    with pytest.raises(RuntimeError, match="round 0"):
        trainer(tmp_path, fail_in_round=0).train(task(tmp_path))
    with pytest.raises(SystemExit):
        trainer(tmp_path, fail_in_round=0, behaviour="exit").train(task(tmp_path))


def test_it_recovers_after_the_given_number_of_attempts(tmp_path, model):
    for _ in range(2):  # a new process each time
        with pytest.raises(RuntimeError):
            trainer(tmp_path, fail_in_round=0, fail_times=2).train(task(tmp_path))
    trainer(tmp_path, fail_in_round=0, fail_times=2).train(task(tmp_path))


def test_the_first_value_counts_rounds(tmp_path, model):
    assert trainer(tmp_path).validate(tmp_path / "global.safetensors")["val_first_value"] == (
        pytest.approx(
            float(next(iter(load_file(tmp_path / "global.safetensors").values())).flat[0])
        )
    )


def test_it_validates_only_where_it_is_asked_to(tmp_path, model):
    one = task(tmp_path)
    assert trainer(tmp_path).train(one).validation
    assert not trainer(tmp_path).train(replace(one, validate=False)).validation


def test_a_truncated_model_is_refused(tmp_path, model):
    file = tmp_path / "global.safetensors"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(FormatError):
        trainer(tmp_path).train(task(tmp_path))


def test_steps_are_told_if_it_takes_time(tmp_path, model):
    steps = []
    one = replace(task(tmp_path), progress=lambda *step: steps.append(step))
    trainer(tmp_path, seconds=0.01, steps=3).train(one)
    trainer(tmp_path, steps=3).train(one)
    assert steps == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(("size_mb", "arrays"), [(0.01, 20), (3.0, 7), (0.000001, 5)])
def test_the_model_has_the_size_that_was_asked_for(tmp_path, size_mb, arrays):
    file = tmp_path / "model.safetensors"
    EchoModelPersistor(size_mb, arrays).initial_model(file, seed=1)
    tensors = load_file(file)
    assert len(tensors) == arrays
    assert sum(t.nbytes for t in tensors.values()) == max(round(size_mb * 250_000), arrays) * 4
    assert {t.dtype for t in tensors.values()} == {np.dtype("float32")}


def test_initial_values_come_from_the_seed(tmp_path):
    def made(name, seed, **args):
        EchoModelPersistor(0.1, **args).initial_model(tmp_path / name, seed=seed)
        return (tmp_path / name).read_bytes()

    assert made("a", 1) == made("b", 1) != made("c", 2)
    assert made("d", 1, initial="zeros") == made("e", 2, initial="zeros")


@pytest.mark.parametrize(
    ("component", "schema"), [(EchoTrainer, TRAINER_ARGS), (EchoModelPersistor, PERSISTOR_ARGS)]
)
def test_schemas_are_the_constructors_signatures(component, schema):
    parameters = inspect.signature(component).parameters
    declared = {name: p["default"] for name, p in schema["properties"].items()}
    assert {name: p.default for name, p in parameters.items()} == declared


def test_the_plugin_module_imports_no_numpy():
    source = Path(inspect.getfile(EchoTrainer)).with_name("plugin.py").read_text()
    assert "numpy" not in source.replace("numpy alone", "")
