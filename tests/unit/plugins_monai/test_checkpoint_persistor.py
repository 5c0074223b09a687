# SPDX-License-Identifier: Apache-2.0
"""A run that begins with a bundle's checkpoint, whose network nobody declares."""

from __future__ import annotations

import pytest
import torch

from mmar_runner.errors import FormatError
from mmar_runner_monai.bundle.persistor import PTCheckpointPersistor
from mmar_runner_torch.files import read_state

STATE = {"layer.weight": torch.arange(4.0), "steps": torch.tensor(2)}


@pytest.mark.parametrize("content", [STATE, {"model": STATE, "epoch": 3}])
def test_every_tensor_of_a_checkpoint_is_taken(tmp_path, content):
    torch.save(content, tmp_path / "model.pt")

    PTCheckpointPersistor().convert(tmp_path / "model.pt", tmp_path / "model.safetensors")

    found = read_state(tmp_path / "model.safetensors")
    assert list(found) == list(STATE)
    assert all(torch.equal(found[name], STATE[name]) for name in STATE)


def test_an_export_can_be_read_by_torch(tmp_path):
    torch.save(STATE, tmp_path / "model.pt")
    persistor = PTCheckpointPersistor()
    persistor.convert(tmp_path / "model.pt", tmp_path / "model")

    file = persistor.export(tmp_path / "model", tmp_path)

    assert torch.equal(torch.load(file, weights_only=True)["steps"], STATE["steps"])


def test_a_checkpoint_that_holds_objects_is_not_loaded(tmp_path):
    torch.save({"model": print}, tmp_path / "model.pt")

    with pytest.raises(FormatError, match="holds more than tensors"):
        PTCheckpointPersistor().convert(tmp_path / "model.pt", tmp_path / "model")


def test_there_is_no_first_model_without_a_checkpoint(tmp_path):
    with pytest.raises(FormatError, match="begins with a checkpoint") as refused:
        PTCheckpointPersistor().initial_model(tmp_path / "model", seed=1)

    assert "ckpt_preload_path" in refused.value.hint
