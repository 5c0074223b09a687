# SPDX-License-Identifier: Apache-2.0
"""The MMAR as each simulated client sees it, made when it is asked for.

Clients' views differ in a few values. What is the same in all of them is kept once: ten
thousand copies of an MMAR's configuration would be more than its models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from mmar_runner.errors import MmarUnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mmar_runner.mmar.spec import MmarSpec
    from mmar_runner.mmar.validation import Validation


class ClientSpecs(Mapping[str, "MmarSpec"]):
    """Specifications by the client's name.

    Args:
        validation: Of the MMAR, which is checked once.
        names: The clients; the first one's view is what the others' are compared with.

    Raises:
        MmarUnreadableError: It cannot be read as an MMAR.
    """

    def __init__(self, validation: Validation, names: list[str]) -> None:
        self._validation = validation
        self._names = dict.fromkeys(names)
        self._first = self._view(names[0])

    def __getitem__(self, name: str) -> MmarSpec:
        """Return the view of one client; it is made anew each time."""
        if name not in self._names:
            raise KeyError(name)
        view: MmarSpec = shared(self._view(name), self._first)
        return view

    def __iter__(self) -> Iterator[str]:
        """Iterate over the clients' names."""
        return iter(self._names)

    def __len__(self) -> int:
        """Return how many clients there are."""
        return len(self._names)

    def _view(self, name: str) -> MmarSpec:
        spec = self._validation.spec_for(name)
        if spec is None:
            msg = f"{self._validation.folder.root} cannot be read as an MMAR"
            raise MmarUnreadableError(msg)
        return spec


def shared(value: Any, like: Any) -> Any:
    """Return an equal value that uses the parts of another one wherever both are the same.

    Args:
        value: Made of dataclasses, mappings, lists and tuples.
        like: What it may share; nobody changes either.
    """
    if type(value) is not type(like):
        return value
    if isinstance(value, dict):
        parts = {key: shared(one, like.get(key)) for key, one in value.items()}
        alike = list(parts) == list(like) and all(parts[key] is like[key] for key in parts)
        return like if alike else parts
    if isinstance(value, list | tuple):
        if len(value) != len(like):
            return value
        items = [shared(*pair) for pair in zip(value, like, strict=True)]
        alike = all(one is other for one, other in zip(items, like, strict=True))
        return like if alike else type(value)(items)
    if is_dataclass(value) and not isinstance(value, type):
        found = {one.name: getattr(value, one.name) for one in fields(value) if one.init}
        parts = {name: shared(one, getattr(like, name)) for name, one in found.items()}
        alike = all(parts[name] is getattr(like, name) for name in parts)
        return like if alike else replace(value, **parts)
    return like if value == like else value
