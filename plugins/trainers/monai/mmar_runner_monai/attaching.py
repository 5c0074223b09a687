# SPDX-License-Identifier: Apache-2.0
"""The handlers of an engine: built with what they work on, attached so that failures have names."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ignite.engine import Events

from mmar_runner.errors import DiskFullError, TaskFailedError
from mmar_runner.hooks.raised import told
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.storage.atomic import NO_SPACE
from mmar_runner_monai.folders import writes
from mmar_runner_monai.parts import name_of

if TYPE_CHECKING:
    from mmar_runner_monai.parts import Declaration, Parts

_log = logging.getLogger(__name__)

#: Arguments that archives leave to the program, by handler.
_GIVEN: Final[Mapping[str, tuple[str, ...]]] = {
    "LrScheduleHandler": ("lr_scheduler",),
    "ValidationHandler": ("validator",),
    "EarlyStopHandler": ("trainer",),
    "SmartCacheHandler": ("smartcacher",),
}
#: Arguments that name objects of the workflow.
_BY_NAME: Final = ("save_dict", "load_dict")
#: Of several processes the first one alone measures, and writes files.
_OF_THE_FIRST: Final = "ValidationHandler"
#: What a federation does itself: the model is the server's.
_LOADS: Final = "CheckpointLoader"


@dataclass(frozen=True, slots=True)
class Attached:
    """One handler that is attached.

    Attributes:
        name: Of its class, as declared.
        handler: Itself.
    """

    name: str
    handler: Any

    def close(self) -> None:
        """Release what it holds, such as an open file."""
        if callable(close := getattr(self.handler, "close", None)):
            close()


def attached(
    parts: Parts,
    section: Declaration,
    engine: Any,
    objects: Mapping[str, Any],
    *,
    where: str,
    rank: int,
) -> list[Attached]:
    """Build a section's handlers and attach them to its engine, in their order.

    Args:
        parts: Builds parts.
        section: ``train`` or ``validate``.
        engine: Its engine.
        objects: What handlers may work on, by name; None for what there is not.
        where: What the section is called in messages.
        rank: Which of several processes this is; a handler may be for one of them.

    Raises:
        PluginError: A handler is missing or cannot be built.
        TaskFailedError: It needs what there is not, or refuses to be attached.
    """
    found = []
    for declaration in parts.all_declared(section.get("handlers")):
        name = name_of(declaration)
        if declaration.get("rank") not in {None, rank} or (rank and _is_of_the_first(declaration)):
            continue
        if name == _LOADS:
            _log.warning("%s: %s has no effect: the model is the server's", where, name)
            continue
        handler = _built(parts, declaration, objects, f"{where}: {name}")
        _attach(handler, engine, f"{where}: {name}")
        found.append(Attached(name, handler))
    return found


def _is_of_the_first(declaration: Declaration) -> bool:
    return name_of(declaration) == _OF_THE_FIRST or writes(declaration.get("args") or {})


def _built(parts: Parts, declaration: Declaration, objects: Mapping[str, Any], what: str) -> Any:
    arguments: Mapping[str, Any] = declaration.get("args") or {}
    extra: dict[str, Any] = {}
    for name in _GIVEN.get(name_of(declaration), ()):
        extra[name] = _object(name, objects, what)
    for name in _BY_NAME:
        if isinstance(names := arguments.get(name), list | str | Mapping):
            extra[name] = _objects(names, objects, what)
    return parts.build(ComponentKind.ENGINE_HANDLER, declaration, **extra)


def _objects(
    names: Sequence[str] | Mapping[str, str] | str, objects: Mapping[str, Any], what: str
) -> dict[str, Any]:
    """Return what is named, under its own names or those that a mapping gives it."""
    listed = [names] if isinstance(names, str) else names
    called = listed if isinstance(listed, Mapping) else {one: one for one in listed}
    return {
        key: _object(one, objects, what)
        for key, one in called.items()
        if objects.get(one, one) is not None
    }


def _object(name: str, objects: Mapping[str, Any], what: str) -> Any:
    if objects.get(name) is None:
        there = ", ".join(key for key, value in objects.items() if value is not None)
        raise TaskFailedError(
            f"{what} needs '{name}', which is not there", hint=f"there is {there}"
        )
    return objects[name]


def _attach(handler: Any, engine: Any, what: str) -> None:
    """Attach a handler; whatever it does at an event is guarded.

    Raises:
        TaskFailedError: It cannot be attached.
    """
    add = engine.add_event_handler

    def add_guarded(event: Any, action: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        kept = action if event is Events.EXCEPTION_RAISED else _guarded(action, what)
        return add(event, kept, *args, **kwargs)

    engine.add_event_handler = add_guarded
    try:
        handler.attach(engine)
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        raise TaskFailedError(f"{what} cannot be attached: {told(error)}") from error
    finally:
        del engine.add_event_handler


def _guarded(action: Callable[..., Any], what: str) -> Callable[..., Any]:
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return action(*args, **kwargs)
        except TaskFailedError:
            raise
        except (Exception, SystemExit) as error:
            full = isinstance(error, OSError) and error.errno in NO_SPACE
            reason = DiskFullError.default_reason if full else None
            raise TaskFailedError(f"{what} failed: {told(error)}", reason=reason) from error

    # By it Ignite sees what a handler takes.
    guarded.__signature__ = inspect.signature(action)  # type: ignore[attr-defined]
    return guarded


def close_all(handlers: Iterable[Attached]) -> None:
    """Release what handlers hold."""
    for one in handlers:
        one.close()
