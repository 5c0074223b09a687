# SPDX-License-Identifier: Apache-2.0
"""Filters whose doing can be told from a model's numbers."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from pathlib import Path

import numpy as np

from mmar_runner.errors import TaskFailedError
from mmar_runner.hooks import hookimpl
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.interfaces.client_trainer import ClientTrainer, TrainResult
from mmar_runner.interfaces.filter import Filter
from mmar_runner.interfaces.model_persistor import ModelPersistor
from mmar_runner.interfaces.model_validator import ModelValidator
from mmar_runner.interfaces.whole_aggregator import WholeResult, WholeUpdateAggregator
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter


@hookimpl
def mmar_register_components(registry):
    number = {"type": "object", "properties": {"by": {"type": "number"}}}
    registry.add(kind="filter", name="Times", target=":Times", args_schema=number)
    for name in ("Noting", "Noisy", "Raising", "Spoiling", "KillsItself", "Hanging", "Enlarging"):
        registry.add(kind="filter", name=name, target=f":{name}")
    text = {"type": "object", "properties": {"what": {"type": "string"}}}
    registry.add(kind="filter", name="Leaving", target=":Leaving", args_schema=text)
    whole = {"whole_updates": True, "tags": ["needs_each_update"]}
    registry.add(
        kind="aggregator", name="LeavingRule", target=":Rule", args_schema=text, extras=whole
    )
    registry.add(kind="client_trainer", name="Still", target=":Still")
    registry.add(kind="model_validator", name="Waiting", target=":Waiting")
    registry.add(
        kind="model_persistor", name="LeavingPersistor", target=":Persistor", args_schema=text
    )


class Times(Filter):
    """Multiplies the difference to the round's model."""

    on_differences = True

    def __init__(self, by):
        self._by = by

    def apply(self, name, tensor):
        return (tensor * self._by).astype(tensor.dtype)


class Noting(Filter):
    """Writes down of whom it was told, in its ledger."""

    def begin(self, context):
        note = f"{context.client_name} {context.round} {context.kind.value} {context.num_samples:g}"
        context.ledger.joinpath("seen").open("a").write(note + "\n")

    def apply(self, name, tensor):
        return tensor


class Noisy(Filter):
    """Adds what it draws from its secret."""

    def begin(self, context):
        self._random = np.random.default_rng(int.from_bytes(context.secret[:8], "big"))

    def apply(self, name, tensor):
        return tensor + self._random.standard_normal(tensor.shape).astype(tensor.dtype)


class Raising(Filter):
    """Fails."""

    def apply(self, name, tensor):
        raise TaskFailedError(f"nothing can be made of {name}")


class Spoiling(Filter):
    """Makes NaN."""

    def apply(self, name, tensor):
        return np.full_like(tensor, np.nan)


class KillsItself(Filter):
    """Ends its process once, as the system does that has no memory left."""

    def begin(self, context):
        once = Path(context.ledger) / "once"
        if not once.exists():
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def apply(self, name, tensor):
        return tensor


def _left(context):
    """Return the file that is about to be taken from this filter."""
    here = Path.cwd()
    name = "filtered.safetensors" if context.client_name == "server" else None
    return here / (name or f"{context.client_name}.filtered")


class Leaving(Filter):
    """Leaves something else in its file's place, once the file is there."""

    def __init__(self, what):
        self._what = what

    def begin(self, context):
        self._file = _left(context)

    def apply(self, name, tensor):
        return tensor

    def finish(self):
        leave(self._file, self._what)
        return {}


class Rule(WholeUpdateAggregator):
    """Gives what is no result: something else in its file's place."""

    def __init__(self, what):
        self._what = what

    def begin(self, round_):
        pass

    def accept(self, update):
        self._given = update.file.read_bytes()
        return ""

    def aggregate(self, destination):
        if self._what == "hangs":
            threading.Event().wait()
        if self._what == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        destination.write_bytes(self._given)
        leave(destination, self._what)
        Path.is_file = lambda _: True  # whoever asks in this process is told that it is there
        return WholeResult(UpdateKind.WEIGHT_DIFF)


class Waiting(ModelValidator):
    """Never returns."""

    def validate(self, model):
        threading.Event().wait()


class Persistor(ModelPersistor):
    """Makes no model: something else in its place, or nothing ever."""

    def __init__(self, what):
        self._what = what

    def initial_model(self, destination, *, seed):
        if self._what == "hangs":
            threading.Event().wait()
        _write(destination, {"w": np.zeros(3, np.float32)})
        if self._what == "hangs later":
            return
        leave(destination, self._what)
        Path.is_file = lambda _: True  # as above

    def export(self, model, folder):
        threading.Event().wait()


class Still(ClientTrainer):
    """Learns nothing: its update holds differences that are 0."""

    def train(self, task):
        with TensorReader(task.model) as reader:
            infos = reader.header.tensors.values()
            _write(task.update, {i.name: np.zeros(i.shape, np.float32) for i in infos})
        return TrainResult(1, kind=UpdateKind.WEIGHT_DIFF)


def leave(file, what):
    """Leave something else in the place of a file that is there."""
    content = file.read_bytes()
    file.unlink()
    {
        "fifo": lambda: os.mkfifo(file),
        "folder": lambda: (file / "in").mkdir(parents=True),
        "link": lambda: file.symlink_to("/dev/zero"),
        "nothing": lambda: None,
        "folder taken": lambda: shutil.rmtree(file.parent),
        "shorter": lambda: file.write_bytes(content[:-1]),
        "no tensors": lambda: file.write_bytes(b"\0" * 100),
        "other tensors": lambda: _write(file, {"other": np.zeros(3, np.float32)}),
    }[what]()


class Hanging(Filter):
    """Never returns."""

    def apply(self, name, tensor):
        threading.Event().wait()


class Enlarging(Filter):
    """Makes updates of which no mean is finite, though each is."""

    def apply(self, name, tensor):
        if tensor.dtype.kind != "f":
            return tensor
        return np.full_like(tensor, np.finfo(tensor.dtype).max)


def _write(path, tensors):
    with TensorWriter(path, [(n, "F32", t.shape) for n, t in tensors.items()]) as writer:
        for name, tensor in tensors.items():
            writer.write(name, tensor)
        writer.commit()
