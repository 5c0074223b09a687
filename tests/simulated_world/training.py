# SPDX-License-Identifier: Apache-2.0
"""What is trained here, and what must come of it: a function of client, round and model.

`expected_model` computes a round's result anew, from the arrays of the updates alone: whole
tensors, without the production aggregation, its blocks or its files.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mmar_runner.errors import TaskFailedError
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.interfaces.client_trainer import TrainResult, TrainTask
from mmar_runner.storage.codecs import CODECS
from mmar_runner.storage.encoding import encode_file
from mmar_runner.storage.safetensors_format import encode_header
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter, sha256_file

if TYPE_CHECKING:
    from tests.simulated_world.process import Process
    from tests.simulated_world.world import World

Arrays = dict[str, npt.NDArray[Any]]

#: The tensors of every model: name, dtype and shape, in the order of the file.
TENSORS = (("a", "F64", (3,)), ("b", "F32", (2, 4)), ("c", "I64", (2,)))
#: A value that is finite, and times any number of samples is not.
_POISON = 1.7e308


@dataclass(frozen=True)
class Made:
    """An update that a trainer wrote."""

    client: str
    round: int
    base_sha256: str
    arrays: Arrays
    samples: float
    kind: UpdateKind


def initial_model() -> Arrays:
    """Return the model that every run begins with."""
    return {
        "a": np.array([0.1, -0.2, 0.3]),
        "b": np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4),
        "c": np.array([3, -4], dtype=np.int64),
    }


def trained(client: str, round_number: int, model: Arrays, kind: UpdateKind) -> Arrays:
    """Return the update that a client makes of a model."""
    digest = hashlib.sha256(f"{client}|{round_number}".encode()).digest()
    rng = np.random.default_rng(list(digest[:8]))
    steps = {
        "a": rng.standard_normal(3),
        "b": rng.standard_normal((2, 4)).astype(np.float32),
        "c": rng.integers(-9, 9, 2),
    }
    if kind is UpdateKind.WEIGHT_DIFF:
        return steps
    return {name: model[name] + step for name, step in steps.items()}


def best_model(client: str) -> Arrays:
    """Return what a client has for its best local model."""
    return trained(client, -1, initial_model(), UpdateKind.WEIGHTS)


def samples_of(client: str) -> float:
    """Return how many samples a client has."""
    return 10.0 + 3 * int(client.rpartition("-")[2])


def encoded(arrays: Arrays) -> bytes:
    """Return a model as the bytes of its file."""
    return encode_header(TENSORS, {}) + b"".join(arrays[name].tobytes() for name, _, _ in TENSORS)


#: What FedAvgM forgets in a round, unless it is told otherwise.
_MOMENTUM = 0.9


def expected_step(models: Sequence[Arrays], updates: Sequence[Made], momenta: Arrays) -> Arrays:
    """Return FedAvgM's result, and bring its momenta forward, which begin as no arrays at all.

    Args:
        models: Of all rounds so far; the last is the round's own.
        updates: In the order of client names.
        momenta: Of the rounds before.
    """
    result: Arrays = {}
    for name, old in models[-1].items():
        step = _mean_step(name, models, updates)
        if old.dtype != np.int64:
            step = momenta[name] = momenta.get(name, np.zeros(old.shape)) * _MOMENTUM + step
        result[name] = _stepped(old, step)
    return result


def expected_buffer(models: Sequence[Arrays], updates: Sequence[Made]) -> Arrays:
    """Return FedAvg's result of a buffer: of differences to models of which some are older.

    Args:
        models: Of all rounds so far; the last is the buffer's own.
        updates: In the order of client names.
    """
    if all(update.round == len(models) - 1 for update in updates):
        return expected_model(models[-1], updates)
    return {
        name: _stepped(old, _mean_step(name, models, updates)) for name, old in models[-1].items()
    }


def _mean_step(
    name: str, models: Sequence[Arrays], updates: Sequence[Made]
) -> npt.NDArray[np.float64]:
    """Return the mean of the differences of updates to the models that they were made from."""
    newest = len(models) - 1
    total = np.zeros(models[-1][name].shape)
    for update in updates:
        step = update.arrays[name].astype(np.float64)
        if update.kind is UpdateKind.WEIGHTS:
            step = step - models[update.round][name].astype(np.float64)
        if update.round < newest:
            step = step * (1.0 / math.sqrt(1.0 + newest - update.round))
        total += step * update.samples
    return total / math.fsum(update.samples for update in updates)


def _stepped(old: npt.NDArray[Any], step: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    new = old.astype(np.float64) + step
    return (np.rint(new) if old.dtype == np.int64 else new).astype(old.dtype)


def expected_model(base: Arrays, updates: Sequence[Made]) -> Arrays:
    """Return FedAvg's result; the updates are in the order of client names."""
    divisor = math.fsum(update.samples for update in updates)
    mixed = len({update.kind for update in updates}) > 1
    differences = any(update.kind is UpdateKind.WEIGHT_DIFF for update in updates)
    result: Arrays = {}
    for name, old in base.items():
        total = np.zeros(old.shape)
        for update in updates:
            values = update.arrays[name].astype(np.float64)
            if mixed and update.kind is UpdateKind.WEIGHTS:
                values = values - old.astype(np.float64)
            total += values * update.samples
        mean = total / divisor
        mean = old.astype(np.float64) + mean if differences else mean
        result[name] = (np.rint(mean) if old.dtype == np.int64 else mean).astype(old.dtype)
    return result


class Trainers:
    """Gives every session a trainer without a process of its own.

    Args:
        world: Where they live.
        kinds: What a client's updates hold.

    Attributes:
        made: Every update that was ever written, by digest.
        failures: How many tasks failed.
    """

    def __init__(self, world: World, kinds: Callable[[str], UpdateKind]) -> None:
        self.world, self.kinds = world, kinds
        self.made: dict[str, Made] = {}
        self.failures = 0

    def trainer(self, spec: Any, *, log: Path, timeout: float | None) -> _Trainer:
        """Return the trainer of the client that a specification names."""
        del log, timeout
        process = self.world.current
        assert process is not None
        return _Trainer(self, spec.context.client_name, process)

    def encoder(self, spec: Any, *, log: Path, timeout: float | None) -> _Encoder:
        """Return what encodes a client's updates."""
        del spec, log, timeout
        return _Encoder(self)


class _Encoder:
    """Encodes at once, and knows what was made of an update."""

    def __init__(self, trainers: Trainers) -> None:
        self._trainers = trainers

    async def encode(self, source: Path, destination: Path, codec: str) -> float:
        """Write an update as it travels."""
        made = self._trainers.made[sha256_file(source)]
        lost = encode_file(source, destination, CODECS[codec])
        arrays = {
            name: CODECS[codec].decode(CODECS[codec].encode(array), array.dtype)
            for name, array in made.arrays.items()
        }
        self._trainers.made[sha256_file(destination)] = replace(made, arrays=arrays)
        return lost

    async def close(self) -> None:
        """Do nothing."""


class _Trainer:
    def __init__(self, trainers: Trainers, client: str, process: Process) -> None:
        self._trainers, self._client, self._process = trainers, client, process
        self.waited = 0.0

    def prepare(self) -> None:
        """Do nothing."""

    async def train(self, task: TrainTask) -> TrainResult:
        """Write an update, some time later."""
        world = self._trainers.world
        await asyncio.sleep(world.rng.uniform(0.05, world.weather.training))
        if world.stormy and world.chance(world.weather.task_failures):
            self._trainers.failures += 1
            msg = "the task failed, as tasks do here"
            raise TaskFailedError(msg)
        made = self._made(task)
        with TensorWriter(task.update, TENSORS) as writer:
            for name, _, _ in TENSORS:
                writer.write(name, made.arrays[name])
            self._trainers.made[writer.commit()] = made
        (task.new_state / "rounds").write_bytes(b"%d" % task.round)
        return TrainResult(made.samples, {}, _validation(self._client, task.round), made.kind)

    async def ask(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Write a best model or measure one, some time later."""
        world = self._trainers.world
        await asyncio.sleep(world.rng.uniform(0.05, world.weather.training))
        if world.stormy and world.chance(world.weather.task_failures):
            msg = "the task failed, as tasks do here"
            raise TaskFailedError(msg)
        return self._answer(method, params)

    def _answer(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        if method == "validate":
            digest = hashlib.sha256(Path(params["model"]).read_bytes())
            digest.update(self._client.encode())
            return {"metrics": {"val_auc": digest.digest()[0] / 255}}
        try:
            Path(params["destination"]).write_bytes(encoded(best_model(self._client)))
        except OSError as error:  # a child's disk is full: its task has failed
            raise TaskFailedError(str(error)) from error
        return {"metrics": {}, "there": True}

    async def close(self) -> None:
        """Do nothing."""

    def _made(self, task: TrainTask) -> Made:
        trainers = self._trainers
        with TensorReader(task.model) as reader:
            model = {name: reader.read(name) for name, _, _ in TENSORS}
        kind = trainers.kinds(self._client)
        arrays = trained(self._client, task.round, model, kind)
        world = trainers.world
        if world.stormy and world.chance(world.weather.poison):
            arrays["a"] = np.full(3, _POISON)
        base = hashlib.sha256(task.model.read_bytes()).hexdigest()
        return Made(self._client, task.round, base, arrays, samples_of(self._client), kind)


def _validation(client: str, round_number: int) -> Mapping[str, float]:
    digest = hashlib.sha256(f"{client}|{round_number}|validation".encode()).digest()
    return {"val_auc": digest[0] / 255}
