# SPDX-License-Identifier: Apache-2.0
"""What the server refuses of the components that it builds, before a run begins."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mmar_runner.errors import RunFailedError
from mmar_runner.hooks import load_plugins
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter
from mmar_runner.testing.builders import MmarBuilder
from mmar_runner.testing.federation import Federation
from mmar_runner_echo.trainer import EchoTrainer

PLUGIN = """
import numpy as np
from mmar_runner.hooks import hookimpl
from mmar_runner.interfaces.aggregator import TensorwiseAggregator

class Middle(TensorwiseAggregator):
    min_updates = 3

    def combine(self, name, tensors, weights):
        return np.sort(tensors.astype(np.float64), axis=0)[1:-1].mean(axis=0)

@hookimpl
def mmar_register_components(registry):
    registry.add(kind="aggregator", name="Middle", target=":Middle")
"""


@pytest.mark.parametrize("clients", [2, 3])
def test_an_aggregator_is_not_given_fewer_updates_than_it_needs(
    tmp_path: Path, clients: int
) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "middle.py").write_text(PLUGIN)
    mmar = MmarBuilder().server(num_rounds=1).aggregator("Middle").write(tmp_path)
    workspace = tmp_path / "ws"
    loaded = load_plugins(plugins_dir=plugins)
    with Federation(mmar, workspace=workspace, clients=clients, plugins=loaded) as federation:
        if clients == 3:
            assert federation.run().status == "finished"
            return
        with pytest.raises(RunFailedError, match=r"needs 3 updates.*min_num_clients 2") as refused:
            federation.serve()
    assert refused.value.reason == "MIN_UPDATES"
    assert not (workspace / "run_1").exists()


FORESEES = """
import numpy as np
from mmar_runner.errors import RunFailedError
from mmar_runner.hooks import hookimpl
from mmar_runner.interfaces.aggregator import TensorwiseAggregator

class Twice(TensorwiseAggregator):
    def foresee(self, start_round, num_rounds):
        if num_rounds - start_round > 2:
            raise RunFailedError("two rounds are all there is for", reason="PRIVACY_BUDGET")

    def combine(self, name, tensors, weights):
        return tensors.mean(axis=0)

@hookimpl
def mmar_register_components(registry):
    registry.add(kind="aggregator", name="Twice", target=":Twice")
"""


@pytest.mark.parametrize("rounds", [2, 3])
def test_what_a_rule_foresees_leaves_no_run_behind(tmp_path: Path, rounds: int) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "twice.py").write_text(FORESEES)
    mmar = MmarBuilder().server(num_rounds=rounds).aggregator("Twice").write(tmp_path)
    workspace = tmp_path / "ws"
    loaded = load_plugins(plugins_dir=plugins)
    with Federation(mmar, workspace=workspace, clients=2, plugins=loaded) as federation:
        if rounds == 2:
            assert federation.run().status == "finished"
            return
        with pytest.raises(RunFailedError, match="two rounds are all"):
            federation.serve()
    assert not (workspace / "run_1").exists()


WHOLE = """
from mmar_runner.hooks import hookimpl
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.interfaces.whole_aggregator import WholeResult, WholeUpdateAggregator

class Last(WholeUpdateAggregator):
    def begin(self, round_):
        pass

    def accept(self, update):
        return ""

    def aggregate(self, destination):
        import numpy as np
        from mmar_runner.storage.tensor_files import TensorWriter

        with TensorWriter(destination, [("w", "F64", (2,))]) as writer:
            writer.write("w", np.array([1.0, 2.0]))
            writer.commit()
        return WholeResult(UpdateKind.WEIGHTS)

@hookimpl
def mmar_register_components(registry):
    registry.add(
        kind="aggregator", name="Last", target=":Last", extras={"whole_updates": True}
    )
"""


def test_a_plugin_may_aggregate_whole_updates_in_a_child(tmp_path: Path) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "last.py").write_text(WHOLE)
    mmar = MmarBuilder().server(num_rounds=2).aggregator("Last").write(tmp_path)
    config = mmar / "config" / "config_fed_server.json"
    server = json.loads(config.read_text())
    config.write_text(json.dumps({**server, "ckpt_preload_path": "start.safetensors"}))
    with TensorWriter(mmar / "start.safetensors", [("w", "F32", (2,))]) as writer:
        writer.write("w", np.zeros(2, np.float32))
        writer.commit()
    workspace = tmp_path / "ws"
    with Federation(
        mmar,
        workspace=workspace,
        clients=2,
        plugins_dir=plugins,
        trainers=lambda _: EchoTrainer(),
    ) as federation:
        assert federation.run().status == "finished"
    with TensorReader(workspace / "run_1" / "models" / "final.safetensors") as reader:
        assert reader.read("w").tolist() == [1.0, 2.0]
