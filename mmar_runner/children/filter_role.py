# SPDX-License-Identifier: Apache-2.0
"""A child that sends files through a chain of filters."""

from __future__ import annotations

import base64
import hmac
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.children.building import component_errors
from mmar_runner.children.differences import Differences
from mmar_runner.children.filter_passes import Labelled, Passing, send_through
from mmar_runner.children.results import checked_metrics
from mmar_runner.children.role import Method, Role
from mmar_runner.errors import DigestError, TaskFailedError
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.interfaces.filter import Filter, FilterContext
from mmar_runner.storage.atomic import translated
from mmar_runner.storage.tensor_files import TensorReader, sha256_file

if TYPE_CHECKING:
    from mmar_runner.children.building import Workshop
    from mmar_runner.children.role import Ask
    from mmar_runner.children.spec import ChildSpec

_FOLDERS: Final = ("state", "new_state", "ledger")


class FilterRole(Role):
    """Answers ``filter`` and ``settle``: reads ``source``, writes ``destination``, same tensors.

    ``received`` is the model as it came to the site, with its ``received_sha256``: filters that
    work on differences subtract that one, whatever other filters made of it.

    Args:
        spec: What the child is.
        workshop: Builds filters.
        ask: Asks the parent, for filters that exchange messages with other sites.
    """

    def __init__(self, spec: ChildSpec, workshop: Workshop, ask: Ask | None = None) -> None:
        self._ask = ask
        kind = ComponentKind.FILTER
        declared: Sequence[Mapping[str, Any]] = spec.component["filters"]
        self._chain = [
            Labelled(one.get("label", ""), workshop.build(kind, one, Filter)) for one in declared
        ]
        self._places = _places(declared)

    def methods(self) -> Mapping[str, Method]:
        """Return what can be asked, by name."""
        return {"filter": self._filter, "settle": self._settle}

    def _filter(self, params: Mapping[str, Any]) -> dict[str, Any]:
        context = _context(params["context"])
        destination = Path(params["destination"])
        with self._begun(context), self._differences(context, params) as differences:
            passing = Passing(Path(params["source"]), destination, differences)
            sha256 = send_through(self._chain, passing)
            metrics = self._finished()
        encoded = any(one.filter.sends_as for one in self._chain)
        return {
            "sha256": sha256,
            "bytes": destination.stat().st_size,
            "metrics": metrics,
            "kind": (UpdateKind.WEIGHT_DIFF if encoded else context.kind).value,
            "encoded": encoded,
            "settles": any(one.filter.topic for one in self._chain),
        }

    def _settle(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Let filters do what is left once their update was acknowledged."""
        context = _context(params["context"])
        for labelled, place in zip(self._chain, self._places, strict=True):
            if labelled.filter.topic:
                own = self._own(context, place, labelled.filter.topic)
                _make_folders(own)
                with component_errors(labelled.who):
                    labelled.filter.settle(own)
                _remove_empty(own)
        return {}

    @contextmanager
    def _begun(self, context: FilterContext) -> Iterator[None]:
        """Let every filter begin, with a secret and folders of its own; tidy up behind them."""
        places = zip(self._chain, self._places, strict=True)
        own = [self._own(context, place, one.filter.topic) for one, place in places]
        for one in own:
            _make_folders(one)
        for labelled, told in zip(self._chain, own, strict=True):
            with component_errors(labelled.who):
                labelled.filter.begin(told)
        yield
        for one in own:
            _remove_empty(one)

    def _own(self, context: FilterContext, place: str, topic: str) -> FilterContext:
        folders: dict[str, Any] = {
            name: None if (folder := getattr(context, name)) is None else folder / place
            for name in _FOLDERS
        }
        secret = context.secret
        if secret:  # two filters that draw noise must not draw the same
            secret = hmac.digest(secret, place.encode(), "sha256")
        exchange = partial(self._exchange, topic) if topic and self._ask is not None else None
        return replace(context, secret=secret, exchange=exchange, **folders)

    def _exchange(self, topic: str, phase: str, payload: bytes) -> bytes:
        """Hand in a payload; the parent has the line to the server.

        Raises:
            TaskFailedError: The server refused it.
        """
        assert self._ask is not None  # noqa: S101 - a filter without it is given no exchange
        said = {"topic": topic, "phase": phase, "payload": base64.b64encode(payload).decode()}
        return base64.b64decode(self._ask(said)["payload"])

    @contextmanager
    def _differences(
        self, context: FilterContext, params: Mapping[str, Any]
    ) -> Iterator[Differences]:
        subtracts = any(one.filter.on_differences for one in self._chain)
        if not subtracts or context.kind is not UpdateKind.WEIGHTS:
            yield Differences(None, UpdateKind.WEIGHT_DIFF)
            return
        received = params.get("received")
        if received is None:
            raise TaskFailedError("filters need the received model, and were not told of one")
        with _sound(Path(received), params.get("received_sha256", "")) as reader:
            yield Differences(reader, context.kind)

    def _finished(self) -> dict[str, float]:
        metrics: dict[str, float] = {}
        for labelled in self._chain:
            with component_errors(labelled.who):
                metrics.update(checked_metrics("metric", labelled.filter.finish()))
        return metrics


def _context(fields: Mapping[str, Any]) -> FilterContext:
    folders = {name: Path(fields[name]) for name in _FOLDERS if fields.get(name) is not None}
    secret = bytes.fromhex(fields.get("secret", ""))
    kind = UpdateKind(fields["kind"])
    return FilterContext(**{**fields, **folders, "kind": kind, "secret": secret})


@contextmanager
def _sound(path: Path, sha256: str) -> Iterator[TensorReader]:
    """Open the received model, if it is still what was received.

    Other children could write there: what they write must not be what differences are made to.
    """
    if sha256 and sha256_file(path) != sha256:
        msg = "the received model was changed at this site while it was being trained"
        raise DigestError(msg, hint="the trainer or a filter wrote into a file it may only read")
    with TensorReader(path) as reader:
        yield reader


def _places(declared: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a name of a folder for each filter, which others before it do not change."""
    places: list[str] = []
    for one in declared:
        written = str(one.get("path") or one.get("name") or "filter")
        name = re.sub(r"[^\w.-]", "_", written)
        numbered = (f"{name}_{number}" for number in itertools.count(2))
        places.append(next(p for p in itertools.chain([name], numbered) if p not in places))
    return places


def _make_folders(context: FilterContext) -> None:
    for folder in (context.state, context.new_state, context.ledger):
        if folder is not None:
            with translated(folder):
                folder.mkdir(parents=True, exist_ok=True)


def _remove_empty(context: FilterContext) -> None:
    """Leave no folder behind in which nothing is kept: a state costs a sync."""
    for folder in (context.state, context.new_state, context.ledger):
        if folder is not None:
            with suppress(OSError):  # something is kept there
                folder.rmdir()
