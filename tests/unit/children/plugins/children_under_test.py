# SPDX-License-Identifier: Apache-2.0
"""A one-file plugin whose components do, on request, everything that can go wrong."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
import time

from mmar_runner.hooks import hookimpl
from mmar_runner.interfaces.client_trainer import ClientTrainer, TrainResult
from mmar_runner.interfaces.filter import Filter
from mmar_runner.interfaces.model_persistor import ModelPersistor
from mmar_runner.interfaces.model_validator import ModelValidator


@hookimpl
def mmar_register_components(registry):
    text = {"type": "string"}
    number = {"type": "number"}
    registry.add(
        kind="client_trainer",
        name="Moody",
        target=":Moody",
        args_schema={"properties": {"mood": text, "value": {}}},
    )
    registry.add(kind="model_persistor", name="TextPersistor", target=":TextPersistor")
    registry.add(kind="model_validator", name="SizeValidator", target=":SizeValidator")
    registry.add(
        kind="filter", name="Scale", target=":Scale", args_schema={"properties": {"by": number}}
    )
    registry.add(kind="filter", name="Flatten", target=":Flatten")
    registry.add(kind="filter", name="Forgetful", target=":Forgetful")


class Moody(ClientTrainer):
    def __init__(self, mood="well", value=1.0):
        self.mood = mood
        self.value = value
        if mood == "refuse":
            raise ValueError("not today")

    def setup(self, context):
        self.context = context
        sys.stdout.write(f"set up {context.client_name}\n")  # goes to the log, harms nobody

    def train(self, task):
        getattr(self, f"_{self.mood}")(task)
        task.update.write_text(self.context.client_name)
        return TrainResult(num_samples=self.value, metrics={"loss": self.value})

    def validate(self, model):
        environment = {k: len(v) for k, v in os.environ.items()}
        return {"threads": int(os.environ["OMP_NUM_THREADS"]), **environment}

    def close(self):
        (self.context.workspace / f"{self.context.client_name}.closed").touch()

    def _well(self, task):
        pass

    def _raise(self, task):
        raise RuntimeError("the optimizer diverged")

    def _mute(self, task):
        """Raise from code that has put something of its own in the place of standard error."""
        sys.stderr = None
        self._raise(task)

    def _exit(self, task):
        sys.exit(3)

    def _abort(self, task):
        os.abort()

    def _killed(self, task):
        os.kill(os.getpid(), 9)

    def _hang(self, task):
        (self.context.workspace / "hanging").touch()
        threading.Event().wait()

    def _steps(self, task):
        for step in range(1, 4):
            task.progress(step, 3)
            time.sleep(0.3)  # longer than the least time between two that are passed on

    def _stall(self, task):
        task.progress(1, 2)
        self._hang(task)

    def _flood(self, task):
        for step in range(100_000):
            task.progress(step, 0)

    def _words(self, task):
        task.progress("one", 2)

    def _forge(self, task):
        """Write to the parent past the runner, as code of an MMAR can, and live on."""
        os.write(int(sys.argv[1]), str(self.value).encode() + b"\n")
        self._hang(task)

    def _greedy(self, task):
        """Never let another Python thread run: native code that holds the lock."""
        (self.context.workspace / "hanging").touch()
        ctypes.PyDLL(None).sleep(600)

    def _spawn(self, task):
        helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        (self.context.workspace / "helper.tmp").write_text(str(helper.pid))
        (self.context.workspace / "helper.tmp").rename(self.context.workspace / "helper")
        time.sleep(600)

    def _leave(self, task):
        helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        (self.context.workspace / "helper").write_text(str(helper.pid))

    def _fork(self, task):
        """Die like a data loader's parent: the worker keeps the sockets open."""
        if os.fork():
            os._exit(5)
        time.sleep(600)

    def _daemon(self, task):
        """Die and leave a worker that no signal to the group reaches."""
        if os.fork():
            os._exit(5)
        os.setsid()
        time.sleep(20)
        os._exit(0)

    def _memory(self, task):
        bytearray(8 << 30)


class TextPersistor(ModelPersistor):
    def initial_model(self, destination, *, seed):
        destination.write_text(str(seed))

    def export(self, model, folder):
        file = folder / "final.txt"
        file.write_text(model.read_text())
        return file


class SizeValidator(ModelValidator):
    def setup(self, context):
        self.factor = context.variables["factor"]

    def validate(self, model):
        return {"size": model.stat().st_size * self.factor}


class Forgetful(Filter):
    def apply(self, name, tensor):
        return None  # instead of what it made


class Scale(Filter):
    def __init__(self, by=2.0):
        self.by = by

    def begin(self, context):
        self.context = context

    def apply(self, name, tensor):
        return (tensor * self.by + self.context.round).astype(tensor.dtype)


class Flatten(Filter):
    def apply(self, name, tensor):
        return tensor.reshape(-1)
