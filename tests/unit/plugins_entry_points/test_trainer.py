# SPDX-License-Identifier: Apache-2.0
"""The components, with real commands: what these are told, may write, and must leave."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mmar_runner.children.spec import FIXED, INHERITED, THREADS
from mmar_runner.errors import NotAuthorizedError, TaskFailedError
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner_entry_points.persistor import EntryPointModel
from mmar_runner_entry_points.trainer import EntryPointTrainer
from mmar_runner_entry_points.validator import EntryPointValidator
from tests.unit.plugins_entry_points.starting import task, told

#: Adds one to every tensor, counts in its state, and leaves its environment for the test.
TRAIN = """
import json, os, sys
from pathlib import Path
from safetensors.numpy import load_file, save_file
model, out = sys.argv[1:]
save_file({name: value + 1 for name, value in load_file(model).items()}, out)
Path(out + "-metadata").write_text(json.dumps({"num_examples": 5, "metrics": {"loss": 0.5}}))
Path(os.environ["MMAR_RUNNER_SCRATCH"], "seen.json").write_text(json.dumps(dict(os.environ)))
Path(os.environ["MMAR_RUNNER_NEW_STATE"], "count").write_text("1")
"""
VALIDATE = """
import json, sys
from pathlib import Path
from safetensors.numpy import load_file
Path(sys.argv[2]).write_text(json.dumps({"mean": float(load_file(sys.argv[1])["a"].mean())}))
"""


@pytest.fixture
def package(package: Path) -> Path:
    for name, source in (("train.py", TRAIN), ("validate.py", VALIDATE)):
        (package / name).write_text(source)
    return package


def command(name: str) -> dict[str, object]:
    return {"command": ["python3", f"{name}.py"]}


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return tmp_path / "workspace"


def seen(workspace: Path) -> dict[str, str]:
    file = workspace / "entry_points_train" / "scratch" / "seen.json"
    return dict(json.loads(file.read_text()))


def test_a_round_is_trained_and_the_received_model_measured(package, workspace, model, tmp_path):
    trainer = EntryPointTrainer(train=command("train"), validate=command("validate"))
    trainer.setup(told(package, workspace))
    work = task(tmp_path / "round", model)
    result = trainer.train(work)
    assert (result.num_samples, result.kind) == (5.0, UpdateKind.WEIGHTS)
    assert (result.metrics, result.validation) == ({"loss": 0.5}, {"mean": 1.0})
    assert load_file(work.update)["a"].tolist() == np.full((2, 3), 2.0).tolist()
    assert (work.new_state / "count").read_text() == "1"
    assert trainer.validate(work.update) == {"mean": 2.0}
    trainer.close()


def test_what_is_not_to_be_validated_is_not(package, workspace, model, tmp_path):
    trainer = EntryPointTrainer(train=command("train"), validate=command("validate"))
    trainer.setup(told(package, workspace))
    assert trainer.train(task(tmp_path / "round", model, validate=False)).validation == {}
    trainer.close()


def test_a_command_is_told_of_its_task_and_given_no_secret(
    package, workspace, model, tmp_path, monkeypatch
):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "leaks")
    monkeypatch.setenv("MMAR_RUNNER_PLUGINS", "mmar-runner-entry-points")
    own = {"SITE_INDEX": 2, "DEBUG": True, "MMAR_RUNNER_SEED": "mine"}
    trainer = EntryPointTrainer(train=command("train"), environment=own)
    trainer.setup(told(package, workspace))
    trainer.train(task(tmp_path / "round", model))
    env = seen(workspace)
    as_every_child = {*INHERITED, *FIXED, *THREADS} - {"MMAR_RUNNER_PLUGINS"}
    runners = {name for name in env if name.startswith("MMAR_RUNNER_")}
    told_names = "CLIENT ENTRY_POINT NEW_STATE NUM_ROUNDS PACKAGE ROUND RUN SCRATCH SEED STATE"
    assert runners == {f"MMAR_RUNNER_{name}" for name in told_names.split()}
    own_names = {"PYTHONPYCACHEPREFIX", "SITE_INDEX", "DEBUG", "LC_CTYPE"}  # Python's own, the last
    assert env.keys() - runners <= as_every_child | own_names
    assert (env["SITE_INDEX"], env["DEBUG"], env["MMAR_RUNNER_SEED"]) == ("2", "true", "11")
    assert (env["MMAR_RUNNER_CLIENT"], env["MMAR_RUNNER_ROUND"]) == ("site-1", "3")
    assert env["MMAR_RUNNER_ENTRY_POINT"] == "train"
    assert Path(env["PATH"].split(os.pathsep)[0]) == Path(sys.executable).parent
    assert env["TMPDIR"] == env["MMAR_RUNNER_SCRATCH"]
    trainer.close()


def test_nothing_is_written_into_the_package_and_the_folders_go(
    package, workspace, model, tmp_path
):
    (package / "helper.py").write_text("")
    (package / "train.py").write_text("import helper\n" + TRAIN)
    before = sorted(package.rglob("*"))
    trainer = EntryPointTrainer(train=command("train"))
    trainer.setup(told(package, workspace))
    trainer.train(task(tmp_path / "round", model))
    assert sorted(package.rglob("*")) == before
    trainer.close()
    assert list(workspace.iterdir()) == []


def test_what_an_earlier_process_left_is_emptied_first(package, workspace):
    left = workspace / "entry_points_train" / "scratch" / "left"
    left.parent.mkdir(parents=True)
    left.write_text("half a download")
    trainer = EntryPointTrainer(train=command("train"))
    trainer.setup(told(package, workspace))
    assert not left.exists()


def test_startup_runs_once_and_leaves_what_train_reads(package, workspace, model, tmp_path):
    start = "import os; open(os.environ['TMPDIR'] + '/begun', 'a').write('x')"
    reads = "import os; assert open(os.environ['TMPDIR'] + '/begun').read() == 'x'\n"
    (package / "train.py").write_text(reads + TRAIN)
    trainer = EntryPointTrainer(
        startup={"command": ["python3", "-c", start]}, train=command("train")
    )
    trainer.setup(told(package, workspace))
    for number in (0, 1):
        trainer.train(task(tmp_path / f"round_{number}", model))
    trainer.close()


def test_a_startup_that_fails_is_the_tasks_failure(package, workspace):
    trainer = EntryPointTrainer(startup={"command": "false"}, train=command("train"))
    with pytest.raises(TaskFailedError, match="the entry point startup ended with exit code 1"):
        trainer.setup(told(package, workspace))


def test_an_update_of_an_earlier_round_is_not_taken_for_this_one(
    package, workspace, model, tmp_path
):
    trainer = EntryPointTrainer(train=command("train"))
    trainer.setup(told(package, workspace))
    # As a round that was given up would leave it, before its metadata was wrong.
    for name in ("update.safetensors", "update.safetensors-metadata"):
        (workspace / "entry_points_train" / "exchange" / name).write_bytes(b"{}")
    (package / "train.py").write_text("")
    with pytest.raises(TaskFailedError, match=r"metadata.*is missing"):
        trainer.train(task(tmp_path / "round", model))
    trainer.close()


def test_differences_are_sent_as_such_and_no_best_model_is_made_of_them(
    package, workspace, model, tmp_path
):
    trainer = EntryPointTrainer(train=command("train"), sends="weight_diff")
    trainer.setup(told(package, workspace, keeps_best=True))
    assert trainer.train(task(tmp_path / "round", model)).kind is UpdateKind.WEIGHT_DIFF
    assert trainer.best_model(tmp_path / "best") is None
    trainer.close()


def test_the_best_model_is_the_one_that_was_measured_best(package, workspace, model, tmp_path):
    trainer = EntryPointTrainer(train=command("train"), validate=command("validate"))
    trainer.setup(told(package, workspace, keeps_best=True))
    trainer.train(task(tmp_path / "good", model))
    save_file({"a": np.full((2, 3), -9, np.float32), "b": np.zeros(4)}, tmp_path / "worse")
    trainer.train(task(tmp_path / "bad", tmp_path / "worse"))
    assert trainer.best_model(tmp_path / "best") == {"mean": 2.0}
    assert load_file(tmp_path / "best")["a"][0, 0] == 2.0
    trainer.close()


@pytest.mark.parametrize(
    "component",
    [
        EntryPointTrainer(train={"command": "touch made"}, startup={"command": "touch made"}),
        EntryPointValidator(validate={"command": "touch made"}, startup={"command": "touch made"}),
    ],
)
def test_without_leave_nothing_starts_whatever_was_judged_before(component, package, workspace):
    """The last guard: a process that was not told so starts no command."""
    with pytest.raises(NotAuthorizedError) as caught:
        component.setup(told(package, workspace, commands=False))
    assert caught.value.reason == "BYOC_NOT_ALLOWED"
    assert not (package / "made").exists()
    assert list(workspace.iterdir()) == []


def test_without_leave_no_model_is_built(package, workspace, tmp_path):
    persistor = EntryPointModel(build={"command": "touch made"})
    persistor.setup(told(package, workspace, commands=False))
    with pytest.raises(NotAuthorizedError):
        persistor.initial_model(tmp_path / "model", seed=1)
    assert not (package / "made").exists()


def test_a_model_that_is_built_is_one(package, workspace, tmp_path):
    persistor = EntryPointModel(build={"command": ["sh", "-c", 'echo no > "$1"', "sh"]})
    persistor.setup(told(package, workspace))
    with pytest.raises(TaskFailedError, match="the entry point build wrote to OUT is no safeten"):
        persistor.initial_model(tmp_path / "model.safetensors", seed=1)


OLDER = """
python_env: python_env.yaml
entry_points:
  build:
    command: python build.py
  startup:
    command: "python -c 'pass'"
  train:
    command: python train.py
  validate:
    command: python 'validate.py'
  predict:
    command: python predict.py
"""


def test_the_file_of_an_older_package_is_read_as_it_is(package, workspace, model, tmp_path):
    (package / "fedn.yaml").write_text(OLDER)
    trainer = EntryPointTrainer("fedn.yaml", train={"seconds": 50})
    trainer.setup(told(package, workspace))
    result = trainer.train(task(tmp_path / "round", model))
    assert (result.num_samples, result.validation) == (5.0, {"mean": 1.0})
    trainer.close()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read"),
        ("entry_points: [", "cannot be used: This is not YAML"),
        ("- train", "cannot be used"),
        ("entry_points: {train: {command: 3}}", "/entry_points/train/command"),
        ("entry_points: {train: {command: !!python/name:os.system }}", "The tag"),
        ("entry_points: {startup: {command: x}}", "the entry point train has no command"),
        ('entry_points: {train: {command: "\'x"}}', "cannot be split: No closing quotation"),
        ("x: " + "y" * 70_000, "longer than 65536 bytes"),
    ],
)
def test_a_file_that_cannot_be_used_is_said_to_be(text, said, package, workspace):
    if text is not None:
        (package / "fedn.yaml").write_text(text)
    with pytest.raises(TaskFailedError) as caught:
        EntryPointTrainer("fedn.yaml").setup(told(package, workspace))
    assert said in caught.value.message


def test_a_file_outside_the_package_is_not_read(package, workspace, tmp_path):
    (tmp_path / "fedn.yaml").write_text(OLDER)
    (package / "linked.yaml").symlink_to(tmp_path / "fedn.yaml")
    for name in ("../fedn.yaml", "linked.yaml", str(tmp_path / "fedn.yaml")):
        with pytest.raises(TaskFailedError, match="leaves the package"):
            EntryPointTrainer(name).setup(told(package, workspace))
