# SPDX-License-Identifier: Apache-2.0
"""What every model persistor must do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from mmar_runner.errors import ComponentNotFoundError
from mmar_runner.interfaces.client_trainer import TrainerContext
from mmar_runner.testing.contracts.files import contents, schema_of, tensors_of
from mmar_runner.testing.contracts.laws import hold, same

if TYPE_CHECKING:
    from mmar_runner.interfaces.catalog import ComponentKind
    from mmar_runner.interfaces.model_persistor import ModelPersistor


class ModelPersistorContract(ABC):
    """A persistor makes the same initial model from the same seed, as one file."""

    @abstractmethod
    def make(self) -> ModelPersistor:
        """Return a new persistor of a small model."""

    def context(self, workspace: Path) -> TrainerContext:
        """Return what a persistor is told; ``workspace`` is an empty folder of its own."""
        return TrainerContext("server", workspace, workspace, {}, {}, {}, _no_parts)

    def test_initial_model_is_one_safetensors_file(self, tmp_path: Path) -> None:
        """It writes the destination, and nothing beside it."""
        destination = tmp_path / "models" / "initial.safetensors"
        destination.parent.mkdir()
        self._ready(tmp_path).initial_model(destination, seed=1)
        law = "A persistor writes the destination, and nothing beside it"
        same(law, ["initial.safetensors"], list(contents(destination.parent)))
        law = "An initial model is a safetensors file with tensors"
        hold(law, len(schema_of(destination)) > 0, expected="at least one", got="none")

    def test_same_seed_same_bytes(self, tmp_path: Path) -> None:
        """Two servers that are given one seed begin alike."""
        for name in ("one", "two"):
            self._ready(tmp_path).initial_model(tmp_path / name, seed=1)
        one, two = ((tmp_path / name).read_bytes() for name in ("one", "two"))
        same("The same seed gives the same initial model, bit for bit", one, two)

    def test_every_seed_same_tensors(self, tmp_path: Path) -> None:
        """Names, shapes and element types belong to the network, not to the seed."""
        for seed in (1, 2**63 - 1):
            self._ready(tmp_path).initial_model(tmp_path / str(seed), seed=seed)
        first, second = (tensors_of(tmp_path / str(seed)) for seed in (1, 2**63 - 1))
        same("Names, shapes and element types do not depend on the seed", first, second)

    def test_description_is_what_is_made(self, tmp_path: Path) -> None:
        """What it says of its model is what the model holds; or it says nothing."""
        facts = self.make().describe()
        if facts is None:
            return
        self._ready(tmp_path).initial_model(tmp_path / "initial", seed=1)
        said = {name: (one.dtype, one.shape) for name, one in facts.tensors.items()}
        law = "A persistor describes the tensors that its initial model holds"
        same(law, said, dict(schema_of(tmp_path / "initial").tensors))

    def test_export_writes_into_its_folder(self, tmp_path: Path) -> None:
        """An export is a file in the folder, or nothing; the model stays as it is."""
        model, folder = tmp_path / "model.safetensors", tmp_path / "export"
        folder.mkdir()
        self._ready(tmp_path).initial_model(model, seed=1)
        before = model.read_bytes()
        exported = self._ready(tmp_path).export(model, folder)
        same("An export leaves the model file as it is", before, model.read_bytes())
        files = sorted(p for p in folder.rglob("*") if p.is_file())
        wanted = [] if exported is None else [exported]
        same("An export is the one file that is named, or nothing", wanted, files)

    def _ready(self, folder: Path) -> ModelPersistor:
        workspace = folder / "workspace"
        workspace.mkdir(exist_ok=True)
        persistor = self.make()
        persistor.setup(self.context(workspace))
        return persistor


def _no_parts(kind: ComponentKind, declaration: Mapping[str, Any]) -> NoReturn:
    msg = f"a persistor in this suite has no parts, and asked for {kind} {dict(declaration)}"
    raise ComponentNotFoundError(msg)
