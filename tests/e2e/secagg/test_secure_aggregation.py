# SPDX-License-Identifier: Apache-2.0
"""Secure aggregation through real processes: what a server sees, and what comes of losses."""

from __future__ import annotations

import json
import shutil
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.interfaces.client_trainer import ClientTrainer, TrainResult, TrainTask
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter, sha256_file
from mmar_runner.testing.federation import Federation
from mmar_runner.testing.processes import RunningClient, RunningServer, free_port
from mmar_runner_secagg.fixed_point import FixedPoint

ECHO = Path(__file__).parents[3] / "mmars" / "echo"
PLUGINS = Path(__file__).parent / "plugins"
CLIP = 8.0
VARIABLES = {"MODEL_MB": 0.4, "NOISE": 0.1}


class SecureRun:
    """An MMAR, a folder for what its server sees, and processes."""

    def __init__(
        self,
        folder: Path,
        stack: ExitStack,
        *,
        lost: Any = None,
        session: bool = False,
        deaths: Any = (),
        answer_seconds: float = 60,
        **server: Any,
    ) -> None:
        self.folder, self._stack = folder, stack
        self.seen = folder / "seen"
        self.seen.mkdir(parents=True)
        self.mmar = Path(shutil.copytree(ECHO, folder / "echo"))
        rule = {"folder": str(self.seen), "deaths": list(deaths), "clip_range": CLIP}
        rule["answer_seconds"] = answer_seconds
        _change(
            self.mmar / "config" / "config_fed_server.json",
            aggregator={"name": "WatchedSum", "args": rule},
        )
        arguments = {"lost": lost or {}, "session": session, "clip_range": CLIP}
        mask = {"name": "LossyMask", "args": arguments}
        path = self.mmar / "config" / "config_fed_client.json"
        _change(path, client={"inbound_filters": [], "outbound_filters": [mask]})
        if server:
            path = self.mmar / "config" / "config_fed_server.json"
            servers = json.loads(path.read_text())["servers"]
            _change(path, servers=[{**servers[0], **server}])
        self._listen = f"127.0.0.1:{free_port()}"

    def serve(self, **variables: Any) -> RunningServer:
        options = ("--plugins-dir", str(PLUGINS), "--keep-models", "all")
        server = RunningServer(
            self.mmar,
            self.folder / "ws",
            *options,
            variables={**VARIABLES, **variables},
            listen=self._listen,
        )
        return self._stack.enter_context(server)

    def join(self, number: int, **variables: Any) -> RunningClient:
        client = RunningClient(
            self.mmar,
            self._listen,
            f"site-{number}",
            self.folder / "c",
            "--plugins-dir",
            str(PLUGINS),
            variables={**VARIABLES, **variables},
        )
        return self._stack.enter_context(client)

    def model(self, number: int) -> Path:
        return self.folder / "ws" / "run_1" / "models" / f"round_{number:04d}.safetensors"

    def update(self, number: int, name: str) -> Any:
        """A tensor as a client's trainer had made it, which nobody but the client sees."""
        path = self.folder / "c" / f"site-{number}" / "run_1" / "update.safetensors"
        with TensorReader(path) as update:
            return update.read(name).reshape(-1)

    def blocks(self) -> dict[str, np.ndarray]:
        """What the server saw in round 0, by tensor: masked, a row for each client."""
        return {p.stem.split("_", 2)[2]: np.load(p) for p in self.seen.glob("00_*.npy")}


class Constant(ClientTrainer):
    """Sends a number as the difference of every value; keeps the first model in a file."""

    def __init__(self, number: int, start: Path) -> None:
        self._number, self._start = number, start

    def train(self, task: TrainTask) -> TrainResult:
        if task.round == 0 and self._number == 1:
            shutil.copy(task.model, self._start)
        with TensorReader(task.model) as model:
            tensors = [(t.name, t.dtype, t.shape) for t in model.header.tensors.values()]
            with TensorWriter(task.update, tensors, {}, durable=False) as update:
                for name, _, _ in tensors:
                    update.write(name, np.full_like(model.read(name), self._number))
                update.commit()
        return TrainResult(num_samples=1, kind=UpdateKind.WEIGHT_DIFF)


def _change(path: Path, **keys: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))


@pytest.fixture
def stack() -> Any:
    with ExitStack() as held:
        yield held


def test_the_server_sees_chance_and_sums_exactly(tmp_path: Path, stack: ExitStack) -> None:
    run = SecureRun(tmp_path, stack)
    settings = {"NUM_ROUNDS": 1, "MIN_NUM_CLIENTS": 3}
    server = run.serve(**settings)
    server.address()
    clients = [run.join(number, **settings) for number in (1, 2, 3)]
    assert server.wait() == 0, server.stderr
    assert [client.wait() for client in clients] == [0, 0, 0]
    seen, numbers = run.blocks(), FixedPoint(32, CLIP, 3)
    sent: list[Any] = [[], [], []]
    with TensorReader(run.model(0)) as base, TensorReader(run.model(1)) as result:
        for name in base.header.tensors:
            before = base.read(name).reshape(-1).astype(np.float64)
            plain = [
                numbers.encode(run.update(number, name).astype(np.float64) - before)
                for number in (1, 2, 3)
            ]
            # Exact in the domain of whole numbers: the masked ones sum to the plain ones.
            total = np.sum(plain, axis=0, dtype=np.uint32)
            expected = (before + numbers.decode(total) / 3).astype(np.float32)
            np.testing.assert_array_equal(result.read(name).reshape(-1), expected)
            for client, row in enumerate(seen[name]):
                assert (row.view("<u4") != plain[client]).mean() > 0.99
                sent[client].append((row.view("<u4"), plain[client]))
    for client in range(3):
        masked, plain = (np.concatenate(parts) for parts in zip(*sent[client], strict=True))
        # Of 255 degrees of freedom: a stream of chance is beyond it once in ten million times.
        assert _chi_square(masked) < 400
        assert _chi_square(plain) > 1000  # so a server without masks would see it


def _chi_square(numbers: Any) -> float:
    counts = np.bincount(np.frombuffer(numbers.tobytes(), np.uint8), minlength=256)
    expected = counts.sum() / 256
    return float(((counts - expected) ** 2 / expected).sum())


@pytest.mark.timeout(150)
def test_a_third_of_the_sites_is_lost_at_every_step_and_the_sums_are_right(
    tmp_path: Path, stack: ExitStack
) -> None:
    """Six sites, of which two lose their filter's process in each round, at mixed steps."""
    lost = {"site-1": ["keys", 0], "site-2": ["shares", 0], "site-3": ["update", 1]}
    lost |= {"site-4": ["unmask", 1], "site-5": ["shares", 2], "site-6": ["unmask", 2]}
    server = {"wait_after_min_clients": 30}
    run = SecureRun(tmp_path, stack, lost=lost, answer_seconds=1.5, **server)
    variables = {"NUM_ROUNDS": 4, "MIN_NUM_CLIENTS": 4, "MODEL_MB": 0.02}
    with Federation(
        run.mmar,
        workspace=tmp_path / "ws",
        clients=6,
        variables=variables,
        trainers=lambda name: Constant(int(name[-1]), tmp_path / "start.safetensors"),
        plugins_dir=PLUGINS,
    ) as federation:
        outcome = federation.run(timeout=120)
        assert outcome.status == "finished", outcome.reason
    rounds = json.loads((tmp_path / "ws/run_1/summary.json").read_text())["rounds"]
    summed = [{int(c["client"][-1]) for c in entry["contributions"]} for entry in rounds]
    assert summed == [{3, 4, 5, 6}, {1, 2, 4, 5, 6}, {1, 2, 3, 4, 6}, {1, 2, 3, 4, 5, 6}]
    # Every tensor grows by the mean of the constants of those whose updates are counted.
    grown = sum(sum(sites) / len(sites) for sites in summed)
    models = tmp_path / "ws" / "run_1" / "models"
    with TensorReader(tmp_path / "start.safetensors") as start:
        before = {name: start.read(name) for name in start.header.tensors}
    with TensorReader(models / "final.safetensors") as result:
        for name, tensor in before.items():
            np.testing.assert_allclose(result.read(name), tensor + grown, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_whoever_is_killed_in_any_phase_the_model_is_the_same(
    tmp_path: Path, stack: ExitStack
) -> None:
    """The server in four phases, and a site that had sent its update and was started again."""
    settings = {"NUM_ROUNDS": 3, "MIN_NUM_CLIENTS": 3, "MODEL_MB": 0.02}
    deaths = ["shares 0", "survivors 1", "unmask 1", "begin 2"]
    lost = {"site-3": ["unmask", 0]}
    models = []
    for name, kills, killed in (("calm", [], {}), ("killed", deaths, lost)):
        run = SecureRun(tmp_path / name, stack, deaths=kills, lost=killed, session=True)
        server = run.serve(**settings)
        server.address()
        clients = [run.join(number, **settings) for number in (1, 2, 3)]
        for kill in kills:
            assert server.wait() == -signal.SIGKILL, server.stderr
            server = run.serve(**settings)
            if kill == deaths[0]:
                assert clients[2].wait() == -signal.SIGKILL
                clients[2] = run.join(3, **settings)
        assert server.wait() == 0, server.stderr
        assert [client.wait() for client in clients] == [0, 0, 0]
        models.append(sha256_file(run.folder / "ws/run_1/models/final.safetensors"))
        rounds = server.summary()["rounds"]
        assert [len(entry["contributions"]) for entry in rounds] == [3, 3, 3]
        assert [entry["rejected"] for entry in rounds] == [[], [], []]
    assert models[0] == models[1]
