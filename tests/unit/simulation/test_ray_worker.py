# SPDX-License-Identifier: Apache-2.0
"""A worker as Ray starts it, without Ray: what it is given are bytes, and so is what it returns."""

from __future__ import annotations

import shutil
import sys

import pytest

from mmar_runner.children.spec import ChildContext, ChildSpec
from mmar_runner.errors import ChildDiedError, TaskFailedError, TaskTimeoutError, UsageError
from mmar_runner.simulation.parcels import pack
from mmar_runner.simulation.ray_cluster import RayCluster
from mmar_runner.simulation.ray_messages import Question, raised_error
from mmar_runner.simulation.ray_worker import RayWorker

CODE = """
import os, threading
from mmar_runner.interfaces.client_trainer import ClientTrainer, TrainResult

class Travels(ClientTrainer):
    def setup(self, context):
        self.context = context

    def train(self, task):
        order = task.model.read_text()
        count = self.context.workspace / "count"
        before = len(count.read_text()) if count.exists() else 0
        count.write_text("n" * (before + 1))
        if order == "exit":
            os._exit(7)
        if order == "hang":
            threading.Event().wait()
        if order == "raise":
            raise RuntimeError("no luck")
        kept = task.state / "kept"
        (task.new_state / "kept").write_text((kept.read_text() if kept.exists() else "") + "k")
        task.progress(1, 2)
        task.progress(2, 2)
        greeting = (self.context.mmar / "greeting").read_text()
        task.update.write_text(f"{greeting} {self.context.client_name} {before}")
        return TrainResult(1, {"told": 2.0})
"""


@pytest.fixture
async def worker(tmp_path):
    mmar = tmp_path / "here" / "job"
    (mmar / "custom").mkdir(parents=True)
    (mmar / "custom" / "travelling.py").write_text(CODE)
    (mmar / "greeting").write_text("hello")
    scratch = tmp_path / "there"
    scratch.mkdir()
    made = RayWorker(str(scratch))
    await made.equip("mmar/job", pack(mmar))
    shutil.rmtree(tmp_path / "here")  # nothing is read from here any more
    yield made
    await made.close()
    assert not list(scratch.iterdir())


def asked(tmp_path, client="site-1", **changes):
    """Return a question of a client whose places are those of another machine."""
    here = tmp_path / "here"
    spec = ChildSpec(
        role="client_trainer",
        component={"path": "travelling.Travels", "args": {}},
        context=ChildContext(client, mmar=str(here / "job"), workspace=str(here / client)),
        custom_dir=str(here / "job" / "custom"),
    )
    values = {
        "spec": spec.to_json(),
        "method": "train",
        "params": {"run_number": 1, "round": 0, "num_rounds": 1, "seed": 0},
        "model": "digest",
        "folders": {"state": {}},
        "fetched": {"update": "file", "new_state": "folder"},
        "workspace": {},
    }
    return Question(**{**values, **changes})


async def answer(worker, question, model=b"work"):
    said = [one async for one in worker.work(question, model)]
    assert [one[0] for one in said[:-1]] == ["step"] * (len(said) - 1)
    assert said[-1][0] == "end"
    return said[:-1], said[-1][1]


async def test_everything_travels_as_bytes(worker, tmp_path):
    steps, first = await answer(worker, asked(tmp_path))
    again = asked(
        tmp_path,
        folders={"state": first.files["new_state"]},
        workspace=None,
        params={"run_number": 1, "round": 1, "num_rounds": 1, "seed": 0},
    )
    _, second = await answer(worker, again)

    assert first.error is None
    assert steps[0] == ("step", 1, 2)
    assert first.result["metrics"] == {"told": 2.0}
    assert first.files == {"update": b"hello site-1 0", "new_state": {"kept": b"k"}}
    assert dict(first.workspace.written) == {"count": b"n"}
    assert second.files == {"update": b"hello site-1 1", "new_state": {"kept": b"kk"}}
    assert not (tmp_path / "here").exists()
    assert (await worker.peak_bytes()) > 1 << 20


async def test_a_workspace_of_before_comes_along(worker, tmp_path):
    _, told = await answer(worker, asked(tmp_path, workspace={"count": b"nnn"}))
    assert told.files["update"] == b"hello site-1 3"


@pytest.mark.parametrize(
    ("order", "kind", "said"),
    [
        (b"raise", TaskFailedError, "no luck"),
        (b"exit", ChildDiedError, "exit code 7"),
        (b"hang", TaskTimeoutError, "did not end within 3 seconds"),
    ],
)
async def test_a_failure_is_the_same_error_at_the_other_end(worker, tmp_path, order, kind, said):
    _, told = await answer(worker, asked(tmp_path, model=order.decode(), timeout=3), order)
    log = tmp_path / "logs" / "trainers_0.log"
    error = raised_error(told.error, told.place, log)

    assert type(error) is kind
    assert said in error.message
    assert str(log) in error.hint
    assert told.place not in error.hint
    assert dict(told.workspace.written) == {"count": b"n"}  # its attempts count all the same
    after = asked(tmp_path, workspace=None)
    _, told = await answer(worker, after)
    assert told.files["update"] == b"hello site-1 1"


async def test_old_models_do_not_pile_up(worker, tmp_path):
    for number in range(4):
        fields = {"model": f"m{number}", "workspace": {} if number == 0 else None}
        await answer(worker, asked(tmp_path, **fields))

    there = sorted(path.name for path in tmp_path.glob("there/*/model_*"))
    assert there == ["model_m2.safetensors", "model_m3.safetensors"]


async def test_without_ray_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_LOG_TO_STDERR", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
        monkeypatch.setenv(name, "")  # set while a cluster begins: put back
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "")
    with pytest.raises(UsageError, match="Ray, which is not installed") as refused:
        await RayCluster.begin(None, 1)

    assert refused.value.reason == "RAY_MISSING"
    assert "mmar-runner[ray]" in str(refused.value.hint)
