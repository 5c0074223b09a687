# SPDX-License-Identifier: Apache-2.0
"""A network that is what its arguments say, or misbehaves; who makes it, who trains it.

No framework is imported: what is tried with it takes the time of a process, and no more.
"""

import mmap
import os
import sys
import threading

from mmar_runner.errors import TaskFailedError
from mmar_runner.hooks import hookimpl
from mmar_runner.interfaces.aggregator import TensorwiseAggregator
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.interfaces.client_trainer import ClientTrainer, TrainResult
from mmar_runner.interfaces.filter import Filter
from mmar_runner.interfaces.handler import Handler
from mmar_runner.interfaces.model_persistor import ModelPersistor
from mmar_runner.interfaces.network_facts import NetworkFacts, TensorFacts
from mmar_runner.storage.safetensors_format import read_header
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter

NORESERVE = 0x4000  # MAP_NORESERVE of Linux, which Python names only since 3.13


def net(does="", **tensors):
    if does == "raise":
        raise ValueError("width must be even")
    if does == "exit":
        sys.stdout.write("out of something\n")
        sys.stdout.flush()
        os._exit(3)
    if does == "hang":
        threading.Event().wait()
    if does == "100 GB":
        # No page of it is ever there: without a limit it would be had on any machine.
        mmap.mmap(-1, 100 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NORESERVE)
    if does == "print":
        sys.stdout.write("hello\n" * 100)
    return {name: TensorFacts(dtype, tuple(shape)) for name, (dtype, shape) in tensors.items()}


def write(path, tensors):
    listed = [(name, one.dtype, one.shape) for name, one in tensors.items()]
    with TensorWriter(path, listed) as writer:
        for name, one in tensors.items():
            import numpy as np

            writer.write(name, np.ones(one.shape, dtype={"F32": "<f4", "F16": "<f2"}[one.dtype]))
        writer.commit()


class Persistor(ModelPersistor):
    def __init__(self, model, says=True):
        self._model, self._says = model, says

    def initial_model(self, destination, *, seed):
        write(destination, self._model.build())

    def describe(self):
        return NetworkFacts(self._model.build()) if self._says else None

    def convert(self, checkpoint, destination):
        raise ValueError("this is no checkpoint")


class Trainer(ClientTrainer):
    def __init__(self, says=True, kept=(), data="made up", fails=""):
        self._says, self._kept, self._data, self._fails = says, kept, data, fails

    def describe(self, context):
        if not self._says:
            return None
        tensors = context.blueprint(ComponentKind.MODEL, context.train_config["train"]["model"])
        return NetworkFacts(
            tensors.build(), kept=frozenset(self._kept), memory={"weights": 10}, note=""
        )

    def unknown_network(self):
        return "it builds its network by itself" if self._says is None else ""

    def setup_synthetic(self, context):
        if self._data != "made up":
            super().setup_synthetic(context)

    def setup(self, context):
        raise RuntimeError("real data was asked for")

    def train(self, task):
        if self._fails == "train":
            raise ValueError("the loss is no number")
        if self._fails in {"100 GB", "hang"}:
            net(self._fails)
        if self._fails:
            raise TaskFailedError(self._fails)
        with TensorReader(task.model) as reader:
            tensors = [(i.name, i.dtype, i.shape) for i in read_header(task.model).tensors.values()]
            with TensorWriter(task.update, tensors) as writer:
                for name, _, _ in tensors:
                    writer.write(name, reader.read(name))
                writer.commit()
        return TrainResult(1)


class Rule(TensorwiseAggregator):
    def combine(self, name, tensors, weights):
        raise ValueError("this rule combines nothing")


class Refuses(Filter):
    def apply(self, name, tensor):
        raise ValueError(f"{name} may not leave")


class Falls(Handler):
    def handle_event(self, event):
        raise ValueError("this handler falls")


@hookimpl
def mmar_register_components(registry):
    anything = {"type": "object", "additionalProperties": True}
    registry.add(kind="model", name="Stated", target=":net", args_schema=anything)
    registry.add(
        kind="model_persistor",
        name="StatedPersistor",
        target=":Persistor",
        args_schema={**anything, "properties": {"model": {"x-component": "model"}}},
        extras={"leaves_out": "exclude_vars"},
    )
    registry.add(
        kind="client_trainer",
        name="StatedTrainer",
        target=":Trainer",
        args_schema=anything,
        extras={"train_parts": {"/train/model": "model"}},
    )
    registry.add(kind="aggregator", name="FallingRule", target=":Rule")
    registry.add(kind="filter", name="RefusingFilter", target=":Refuses")
    registry.add(kind="handler", name="FallingHandler", target=":Falls")
