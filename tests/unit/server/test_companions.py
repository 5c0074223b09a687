# SPDX-License-Identifier: Apache-2.0
"""Companions of a model's tensors: added once, kept, and left out of what leaves."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mmar_runner.errors import RunFailedError
from mmar_runner.hooks import load_plugins
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.interfaces.companions import accompanied, companion_of, is_companion
from mmar_runner.mmar.spec import ComponentSpec
from mmar_runner.server.components import persisting
from mmar_runner.server.components.building import wanted_companions
from mmar_runner.server.components.companions import bring_companions, write_without_companions
from mmar_runner.server.records.workspace import RunFolder
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter, sha256_file

if TYPE_CHECKING:
    from collections.abc import Mapping

DTYPES = {"float32": "F32", "float16": "F16", "int64": "I64"}
MODEL = {
    "w": np.arange(6, dtype=np.float32).reshape(2, 3),
    "steps": np.array(7),
    "b": np.ones(2, np.float16),
    "head": np.ones(3, np.float32),
}
SORT = ("control_variate",)


def write(path: Path, tensors: Mapping[str, Any]) -> Path:
    listed = [(name, DTYPES[str(t.dtype)], t.shape) for name, t in tensors.items()]
    with TensorWriter(path, listed, {"format": "pt"}) as writer:
        for name, tensor in tensors.items():
            writer.write(name, tensor)
        writer.commit()
    return path


def read(path: Path) -> dict[str, Any]:
    with TensorReader(path) as reader:
        assert reader.header.metadata == {"format": "pt"}
        return {name: reader.read(name) for name in reader.header.tensors}


def bring(path: Path, *sorts: str) -> dict[str, Any]:
    bring_companions(path, sorts, excluded=lambda name: name == "head", durable=False)
    return read(path)


def test_each_floating_tensor_that_is_not_excluded_gets_zeros(tmp_path: Path) -> None:
    found = bring(write(tmp_path / "model", MODEL), *SORT)
    assert list(found) == [*MODEL, "control_variate/w", "control_variate/b"]
    for name, value in MODEL.items():
        assert found[name].tolist() == value.tolist()
    for name in ("w", "b"):
        added = found[companion_of("control_variate", name)]
        assert (added.dtype, added.shape) == (MODEL[name].dtype, MODEL[name].shape)
        assert not added.any()


def test_a_model_that_has_what_it_needs_is_left_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "model", MODEL)
    before = path.stat()
    bring(path)
    bring(write(tmp_path / "other", MODEL), *SORT)
    assert path.stat() == before


def test_a_checkpoint_of_an_earlier_run_keeps_what_fits(tmp_path: Path) -> None:
    learnt = {"control_variate/b": np.full(2, 5, np.float16), "control_variate/w": np.ones(6)}
    learnt["control_variate/w"] = np.ones(6, np.float32)  # of another shape
    found = bring(write(tmp_path / "model", MODEL | learnt), *SORT)
    assert found["control_variate/b"].tolist() == [5, 5]
    assert found["control_variate/w"].tolist() == np.zeros((2, 3)).tolist()


def test_a_run_that_needs_none_drops_those_of_a_checkpoint(tmp_path: Path) -> None:
    path = write(tmp_path / "model", MODEL)
    expected = sha256_file(path)
    bring(path, *SORT)
    bring(path)
    assert sha256_file(path) == expected


def test_an_export_has_none(tmp_path: Path) -> None:
    path = write(tmp_path / "model", MODEL)
    expected = sha256_file(path)
    out = tmp_path / "out"
    assert not write_without_companions(path, out)
    assert not out.exists()
    bring(path, *SORT)
    assert write_without_companions(path, out)
    assert sha256_file(out) == expected


@pytest.mark.parametrize("sorts", [(), SORT])
def test_whoever_exports_the_final_model_sees_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sorts: tuple[str, ...]
) -> None:
    path = write(tmp_path / "final.safetensors", MODEL)
    expected = sha256_file(path)
    bring(path, *sorts)
    seen: list[str] = []

    async def persist(_settings: Any, _folder: Any, method: str, params: Any) -> dict[str, Any]:
        assert method == "export"
        seen.append(sha256_file(Path(params["model"])))
        return {"file": None}

    monkeypatch.setattr(persisting, "_persist", persist)
    server = type("Server", (), {"model_persistor": "declared"})
    settings: Any = type("Settings", (), {"server": server, "durable": False})
    asyncio.run(persisting.export_model(settings, RunFolder(tmp_path, 1), path))
    assert seen == [expected]
    assert [one.name for one in tmp_path.iterdir()] == ["final.safetensors"]


def test_names() -> None:
    assert is_companion("control_variate/w/x")
    assert accompanied("control_variate/w/x") == "w/x"
    for name in ("control_variate", "w", "control_variates/w", "net/control_variate/w"):
        assert not is_companion(name)
        assert accompanied(name) == name


class _Catalog:
    """One aggregator, which wants what there is not."""

    def find(self, *_: object) -> Any:
        found = load_plugins().registry.find(ComponentKind.AGGREGATOR, "FedAvg")
        assert found is not None
        return type("Found", (), {"extras": {"companions": ["shadow"]}})


def test_only_what_there_is_may_be_wanted() -> None:
    kind = ComponentKind.AGGREGATOR
    spec = ComponentSpec(kind, {"name": "Scaffold"}, "Scaffold", {}, "", "")
    assert wanted_companions(load_plugins().registry, spec) == ("control_variate",)
    with pytest.raises(RunFailedError, match="shadow") as refused:
        wanted_companions(_Catalog(), spec)  # type: ignore[arg-type]
    assert "control_variate" in (refused.value.hint or "")
