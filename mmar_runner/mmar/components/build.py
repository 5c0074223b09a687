# SPDX-License-Identifier: Apache-2.0
"""From canonical documents and resolved components to specifications."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.mmar import aliases
from mmar_runner.mmar.components.resolving import NOTHING, Resolved, Resolver
from mmar_runner.mmar.spec import ClientSpec, ComponentSpec, ServerSpec

if TYPE_CHECKING:
    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.document import Document

_Number = TypeVar("_Number", int, float)
_TASK: JsonPath = ("servers", 0)
DEFAULTS = {
    "min_num_clients": 2,
    "max_num_clients": 100,
    "wait_after_min_clients": 10,
    "heart_beat_timeout": 600,
    "start_round": 0,
}
_SERVER_SINGLES = {
    "aggregator": ComponentKind.AGGREGATOR,
    "workflow": ComponentKind.WORKFLOW,
    "model_persistor": ComponentKind.MODEL_PERSISTOR,
    "model_validator": ComponentKind.MODEL_VALIDATOR,
}
_SERVER_LISTS = {
    "inbound_filters": ComponentKind.FILTER,
    "outbound_filters": ComponentKind.FILTER,
    "handlers": ComponentKind.HANDLER,
    "result_processors": ComponentKind.RESULT_PROCESSOR,
}
_CLIENT_LISTS = {
    "inbound_filters": ComponentKind.FILTER,
    "outbound_filters": ComponentKind.FILTER,
    "handlers": ComponentKind.HANDLER,
}
_CROSS_SITE = ("cross_site_validation",)


@dataclass(slots=True)
class Parts:
    """The resolved components of one file, by place."""

    singles: dict[JsonPath, Resolved] = field(default_factory=dict)
    lists: dict[JsonPath, list[Resolved]] = field(default_factory=dict)

    def one(self, *path: str) -> ComponentSpec | None:
        """Return the component of a slot, or None."""
        return self.singles.get(path, NOTHING).spec

    def many(self, *path: str) -> tuple[ComponentSpec, ...]:
        """Return the components of a list, in order."""
        return tuple(r.spec for r in self.lists.get(path, ()) if r.spec is not None)

    def every(self) -> list[Resolved]:
        """Return all of them."""
        return [*self.singles.values(), *(r for items in self.lists.values() for r in items)]


def resolve_server(document: Document, resolver: Resolver) -> Parts:
    """Resolve every component of a server file."""
    parts = Parts()
    for key, kind in _SERVER_SINGLES.items():
        parts.singles[(key,)] = resolver.resolve(document, (key,), kind)
    for key, kind in _SERVER_LISTS.items():
        parts.lists[(key,)] = _resolve_list(document, (key,), kind, resolver)
    return parts


def resolve_client(document: Document, resolver: Resolver) -> Parts:
    """Resolve every component of a client file."""
    parts, validator = Parts(), (*_CROSS_SITE, "model_validator")
    trainer = resolver.resolve(document, ("client_trainer",), ComponentKind.CLIENT_TRAINER)
    parts.singles[("client_trainer",)] = trainer
    if takes_part(document):
        parts.singles[validator] = resolver.resolve(
            document, validator, ComponentKind.MODEL_VALIDATOR
        )
        for key in ("inbound_filters", "outbound_filters"):
            path = (*_CROSS_SITE, key)
            parts.lists[path] = _resolve_list(document, path, ComponentKind.FILTER, resolver)
    for key, kind in _CLIENT_LISTS.items():
        parts.lists[(key,)] = _resolve_list(document, (key,), kind, resolver)
    return parts


def takes_part(document: Document) -> bool:
    """Return True if cross-site validation is on and this client takes part."""
    on = document.get(("cross_validate",)) is True
    return on and document.get((*_CROSS_SITE, "is_participating")) is True


def _resolve_list(
    document: Document, path: JsonPath, kind: ComponentKind, resolver: Resolver
) -> list[Resolved]:
    items = document.get(path, [])
    if not isinstance(items, list):
        return []
    return [resolver.resolve(document, (*path, i), kind) for i in range(len(items))]


def task_value(document: Document, key: str) -> Any:
    """Return one of Clara's keys of the first server, or its default."""
    return document.get((*_TASK, key), DEFAULTS.get(key))


def server_spec(document: Document, parts: Parts) -> ServerSpec | None:
    """Return what a server file of sound shape declares; None without an aggregator."""
    aggregator = parts.one("aggregator")
    if aggregator is None:
        return None
    return ServerSpec(
        task_name=task_value(document, "name"),
        min_num_clients=int(task_value(document, "min_num_clients")),
        max_num_clients=int(task_value(document, "max_num_clients")),
        wait_after_min_clients=float(task_value(document, "wait_after_min_clients")),
        heart_beat_timeout=float(task_value(document, "heart_beat_timeout")),
        start_round=int(task_value(document, "start_round")),
        num_rounds=int(task_value(document, "num_rounds")),
        aggregator=aggregator,
        clients_per_round=_optional(int, document.value.get("clients_per_round")),
        round_deadline=_optional(float, document.value.get("round_deadline")),
        max_wait=_optional(float, document.value.get("max_wait")),
        max_num_samples=document.value.get("max_num_samples"),
        validate_every=_optional(int, document.value.get("validate_every")),
        exclude_vars=excluded(document.value.get("exclude_vars")),
        checkpoint=document.value.get("ckpt_preload_path"),
        update_codec=document.value.get("update_codec", "none"),
        compression=document.value.get("compression", "none"),
        workflow=parts.one("workflow"),
        model_persistor=parts.one("model_persistor"),
        model_validator=parts.one("model_validator"),
        inbound_filters=parts.many("inbound_filters"),
        outbound_filters=parts.many("outbound_filters"),
        handlers=parts.many("handlers"),
        result_processors=parts.many("result_processors"),
    )


def client_spec(document: Document, parts: Parts, task_name: str) -> ClientSpec | None:
    """Return what a client file of sound shape declares; None without a trainer."""
    trainer = parts.one("client_trainer")
    if trainer is None:
        return None
    return ClientSpec(
        task_name=document.get((*_TASK, "name"), task_name),
        client_trainer=trainer,
        inbound_filters=parts.many("inbound_filters"),
        outbound_filters=parts.many("outbound_filters"),
        cross_validate=takes_part(document),
        model_validator=parts.one(*_CROSS_SITE, "model_validator"),
    )


def excluded(value: str | None) -> str | None:
    """Return an ``exclude_vars`` that excludes something, or None."""
    return None if value is None or value in aliases.EXCLUDES_NOTHING else value


def _optional(kind: type[_Number], value: Any) -> _Number | None:
    return None if value is None else kind(value)
