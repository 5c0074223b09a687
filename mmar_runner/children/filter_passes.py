# SPDX-License-Identifier: Apache-2.0
"""A file on its way through a chain of filters: how often it is read, and in which form.

The chain is cut before every filter that must see all tensors first. Each piece reads the
file that the piece before it wrote: once for each pass of its first filter, and once to send
every tensor through all of its filters. One tensor is in memory at a time, in at most a few
copies.
"""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mmar_runner.children.building import component_errors
from mmar_runner.children.differences import Differences, Given, is_whole
from mmar_runner.errors import TaskFailedError
from mmar_runner.storage.dtypes import numpy_dtype
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from mmar_runner.interfaces.filter import Filter
    from mmar_runner.storage.header import TensorInfo


class Labelled(NamedTuple):
    """A filter, and what sentences about its failures call it; empty for no name."""

    label: str
    filter: Filter

    @property
    def who(self) -> str:
        """Its label, or that it is a filter."""
        return self.label or "filter"


@dataclass(frozen=True, slots=True)
class Passing:
    """A file that passes through.

    Attributes:
        source: Where it lies.
        destination: Where it goes.
        differences: How its tensors become differences, and back.
    """

    source: Path
    destination: Path
    differences: Differences


def send_through(chain: Sequence[Labelled], passing: Passing) -> str:
    """Send a file through filters that have begun; return the sha256 of what came out.

    Raises:
        TaskFailedError: A filter raised, or changed a tensor's shape or type.
        StorageError: A file cannot be read or written.
    """
    with TensorReader(passing.source) as original:
        infos = tuple(original.header.tensors.values())
    _require_last(chain)
    pieces = _pieces(chain)
    path, form, sha256 = passing.source, False, ""
    with ExitStack() as aside:
        for number, piece in enumerate(pieces):
            last = number == len(pieces) - 1
            onward = False if last else pieces[number + 1][0].filter.on_differences
            destination = passing.destination if last else _aside(passing, number, aside)
            walk = _Walk(piece, passing.differences, infos)
            sha256 = walk.through(path, destination, came=form, leaves=onward)
            path, form = destination, onward
    return sha256


def _pieces(chain: Sequence[Labelled]) -> list[list[Labelled]]:
    pieces: list[list[Labelled]] = []
    for one in chain:
        if not pieces or one.filter.needs_measure:
            pieces.append([])
        pieces[-1].append(one)
    return pieces


def _aside(passing: Passing, number: int, stack: ExitStack) -> Path:
    path = passing.destination.with_name(f".{passing.destination.name}.{number}")
    stack.callback(path.unlink, missing_ok=True)
    return path


class _Walk:
    """One piece of the chain; the first filter's form is the one that all files come in."""

    def __init__(
        self, piece: Sequence[Labelled], differences: Differences, infos: Sequence[TensorInfo]
    ) -> None:
        self._piece = piece
        self._differences = differences
        self._infos = infos

    def through(self, source: Path, destination: Path, *, came: bool, leaves: bool) -> str:
        """Measure if that is wanted, then send every tensor through.

        Args:
            source: The file.
            destination: The one to be written.
            came: Whether the file holds differences.
            leaves: Whether the one that is written shall hold them.
        """
        with TensorReader(source) as reader:
            first = self._piece[0]
            if first.filter.needs_measure:
                self._measure(reader, first, came=came)
            sends_as = self._piece[-1].filter.sends_as
            tensors = [
                (i.name, sends_as or _stored(i.dtype, leaves=leaves), i.shape) for i in self._infos
            ]
            with TensorWriter(destination, tensors, {}, durable=False) as writer:
                for info in self._infos:
                    writer.write(info.name, self._passed(reader, info, came=came, leaves=leaves))
                return writer.commit()

    def _measure(self, reader: TensorReader, first: Labelled, *, came: bool) -> None:
        again = True
        while again:
            for info in self._infos:
                value = _Value(self._differences, info, reader.read(info.name), form=came)
                with component_errors(f"{first.who}, measuring the tensor {info.name!r},"):
                    first.filter.measure(
                        info.name, value.as_(difference=first.filter.on_differences)
                    )
            with component_errors(first.who):
                again = first.filter.measures_again()

    def _passed(
        self, reader: TensorReader, info: TensorInfo, *, came: bool, leaves: bool
    ) -> npt.NDArray[Any]:
        value = _Value(self._differences, info, reader.read(info.name), form=came)
        for one in self._piece:
            tensor = value.as_(difference=one.filter.on_differences)
            with component_errors(f"{one.who}, given the tensor {info.name!r},"):
                changed = one.filter.apply(info.name, tensor)
            if one.filter.sends_as is not None:
                _require_form(one, info.name, changed, tensor, numpy_dtype(one.filter.sends_as))
                return changed
            _require_form(one, info.name, changed, tensor)
            value.becomes(changed)
        return value.as_(difference=leaves)


class _Value:
    """One tensor, as itself or as a difference, whichever is asked for."""

    def __init__(
        self,
        differences: Differences,
        info: TensorInfo,
        value: npt.NDArray[Any],
        *,
        form: bool,
    ) -> None:
        self._differences = differences
        self._info = info
        self._value = value
        self._is_difference = form
        self._given: Given | None = None

    def as_(self, *, difference: bool) -> npt.NDArray[Any]:
        """Return it in that form, which it then has."""
        name = self._info.name
        with component_errors(f"taking the received model from the tensor {name!r}"):
            if difference and not self._is_difference:
                made = self._differences.of(name, self._value)
                self._given = Given(self._value, made)
                self._value = made
            elif self._is_difference and not difference:
                dtype = numpy_dtype(self._info.dtype)
                self._value = self._differences.back(name, self._value, dtype, self._given)
                self._given = None
        self._is_difference = difference
        return self._value

    def becomes(self, changed: npt.NDArray[Any]) -> None:
        """Go on with what a filter made of it, in the form that it had."""
        self._value = changed


def _stored(dtype: str, *, leaves: bool) -> str:
    if not leaves:
        return dtype
    return "I64" if is_whole(numpy_dtype(dtype)) else "F64"


def _require_last(chain: Sequence[Labelled]) -> None:
    """Let nobody work on what a filter has made unreadable.

    Raises:
        TaskFailedError: FILTER_ORDER.
    """
    for one, after in itertools.pairwise(chain):
        if one.filter.sends_as is not None:
            msg = f"{one.who} makes whole numbers that nothing may change, and {after.who} follows"
            raise TaskFailedError(msg, hint="declare it as the last filter", reason="FILTER_ORDER")
    if chain[-1].filter.sends_as is not None and not chain[-1].filter.on_differences:
        msg = f"{chain[-1].who} sends whole numbers, and does not work on differences"
        raise TaskFailedError(msg, hint="a filter with sends_as sets on_differences")


def _require_form(
    one: Labelled,
    name: str,
    changed: object,
    tensor: npt.NDArray[Any],
    dtype: np.dtype[Any] | None = None,
) -> None:
    expected = f"{dtype or tensor.dtype}{list(tensor.shape)}"
    if (got := _form(changed)) != expected:
        who = one.label or type(one.filter).__name__
        message = f"{who} made {got} of tensor {name!r}, not {expected}"
        raise TaskFailedError(message, hint=f"apply must return {expected}")


def _form(value: object) -> str:
    """Return type and shape of an array, or what else it is."""
    if not isinstance(value, (np.ndarray, np.generic)):
        return f"a {type(value).__name__}"
    return f"{value.dtype}{list(value.shape)}"
