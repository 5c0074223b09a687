# SPDX-License-Identifier: Apache-2.0
"""A plugin with filters such as a site might have: what they did can be seen in an update."""

from mmar_runner.hooks import hookimpl
from mmar_runner.interfaces.filter import Filter

_SCHEMA = {"properties": {"tensor": {"type": "string"}}}


@hookimpl
def mmar_register_components(registry):
    registry.add(kind="filter", name="Blank", target=":Blank", args_schema=_SCHEMA)
    registry.add(kind="filter", name="Mark", target=":Mark", args_schema=_SCHEMA)
    registry.add(kind="filter", name="Increment", target=":Increment")


class Blank(Filter):
    """Sets one tensor to nought."""

    def __init__(self, tensor):
        self._tensor = tensor

    def apply(self, name, tensor):
        return tensor * 0 if name == self._tensor else tensor


class Mark(Blank):
    """Sets one tensor to a number that stands nowhere else."""

    def apply(self, name, tensor):
        return tensor * 0 + 1234.5678 if name == self._tensor else tensor


class Increment(Filter):
    """Adds one to everything."""

    def apply(self, name, tensor):
        return tensor + 1
