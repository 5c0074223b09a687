# SPDX-License-Identifier: Apache-2.0
"""A child that sends a file's tensors through a chain of filters, one at a time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
        self._filters: list[Filter] = [
            workshop.build(kind, declaration, Filter) for declaration in spec.component["filters"]
        ]

    def methods(self) -> Mapping[str, Method]:
        """Return what can be asked, by name."""
        return {"filter": self._filter}

    def _filter(self, params: Mapping[str, Any]) -> dict[str, Any]:
        fields = params["context"]
        context = FilterContext(**{**fields, "kind": UpdateKind(fields["kind"])})
        for one in self._filters:
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
        for one in self._filters:
            changed = one.apply(name, tensor)
            if changed.shape != tensor.shape or changed.dtype != tensor.dtype:
                got = f"{changed.dtype}{list(changed.shape)}"
                expected = f"{tensor.dtype}{list(tensor.shape)}"
                message = f"{type(one).__name__} made {got} of tensor {name!r}, not {expected}"
                raise TaskFailedError(message)
            tensor = changed
        return tensor
