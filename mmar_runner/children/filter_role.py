# SPDX-License-Identifier: Apache-2.0
"""A child that sends a file's tensors through a chain of filters, one at a time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmar_runner.children.building import component_errors
from mmar_runner.children.role import Method, Role
from mmar_runner.errors import TaskFailedError
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.interfaces.filter import Filter, FilterContext
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmar_runner.children.building import Workshop
    from mmar_runner.children.spec import ChildSpec


class FilterRole(Role):
    """Answers ``filter``: reads ``source``, writes ``destination``, same tensors."""

    def __init__(self, spec: ChildSpec, workshop: Workshop) -> None:
        kind = ComponentKind.FILTER
        self._filters: list[tuple[str, Filter]] = [
            (declaration.get("label") or "filter", workshop.build(kind, declaration, Filter))
            for declaration in spec.component["filters"]
        ]

    def methods(self) -> Mapping[str, Method]:
        """Return what can be asked, by name."""
        return {"filter": self._filter}

    def _filter(self, params: Mapping[str, Any]) -> dict[str, Any]:
        fields = params["context"]
        context = FilterContext(**{**fields, "kind": UpdateKind(fields["kind"])})
        for label, one in self._filters:
            with component_errors(label):
                one.begin(context)
        with TensorReader(Path(params["source"])) as source:
            infos = source.header.tensors.values()
            tensors = [(info.name, info.dtype, info.shape) for info in infos]
            destination = Path(params["destination"])
            with TensorWriter(destination, tensors, {}, durable=False) as writer:
                for name, _, _ in tensors:
                    writer.write(name, self._apply(name, source.read(name)))
                sha256 = writer.commit()
        return {"sha256": sha256, "bytes": destination.stat().st_size}

    def _apply(self, name: str, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        for label, one in self._filters:
            with component_errors(f"{label}, given the tensor {name!r},"):
                changed = one.apply(name, tensor)
            if (got := _form(changed)) != (expected := _form(tensor)):
                who = type(one).__name__ if label == "filter" else label
                message = f"{who} made {got} of tensor {name!r}, not {expected}"
                raise TaskFailedError(message, hint=f"apply must return {expected}")
            tensor = changed
        return tensor


def _form(value: object) -> str:
    """Return type and shape of an array, or what else it is."""
    if not isinstance(value, (np.ndarray, np.generic)):
        return f"a {type(value).__name__}"
    return f"{value.dtype}{list(value.shape)}"
