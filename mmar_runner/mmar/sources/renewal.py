# SPDX-License-Identifier: Apache-2.0
"""Leaving out of both generations what is not needed here, with a note for each.

What stays is the same job in the words of today: keys that have no effect, components that
did what every run does by itself, and arguments of older components are taken out or
renamed. `upgrade` before it knows the keys of generation 3.1, `canonical` after it the
spellings that are as good as others and need no note.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mmar_runner.mmar import aliases
from mmar_runner.mmar.older.arguments import ARGUMENTS
from mmar_runner.mmar.older.entry import older_name
from mmar_runner.mmar.older.federated import FEDERATED
from mmar_runner.mmar.sources.draft import Draft

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.document import Document
    from mmar_runner.mmar.finding import Findings

_TASK: Final[JsonPath] = ("servers", 0)
_CROSS_SITE: Final[JsonPath] = ("cross_site_validation",)
_FILTERS: Final = ("inbound_filters", "outbound_filters")
#: Keys of the top level that mean something there, though they are idle further down.
_OWN_KEYS: Final = frozenset({"compression"})
#: Keys that hold components: whatever is declared there is not called.
_CALLED_NO_MORE: Final = frozenset(
    {"shareable_generator", "server_trainer", "admin_cmd_modules", "req_processors"}
    | {"model_reader_writer"}
)


def renew_server(document: Document, findings: Findings) -> None:
    """Bring a server file of either generation into words of today."""
    draft = Draft(document, findings)
    if "persistor" in document.value:
        draft.note(("persistor",), "MMAR210", "'persistor' is an older name of 'model_persistor'.")
        draft.move(("persistor",), ("model_persistor",))
    _validation_on_server(draft)
    for section in ((), _TASK):
        _idle_members(draft, section)
    for key in _FILTERS:
        _filters(draft, (key,))
    for path in (("aggregator",), ("model_persistor",), *_items(draft, ("handlers",))):
        _arguments(draft, path)


def renew_client(document: Document, findings: Findings) -> None:
    """Bring a client file of either generation into words of today."""
    draft = Draft(document, findings)
    for section in ((), _TASK, ("client",)):
        _idle_members(draft, section)
    for section in ((), ("client",), _CROSS_SITE):
        for key in _FILTERS:
            _filters(draft, (*section, key))
    for path in (("client_trainer",), (*_CROSS_SITE, "model_validator")):
        _arguments(draft, path)


# -- keys ------------------------------------------------------------------------------


def _idle_members(draft: Draft, parent: JsonPath) -> None:
    for key in list(draft.object_at(parent)):
        if parent or key not in _OWN_KEYS:
            _idle(draft, (*parent, key))
    for key in aliases.CERTIFICATE_KEYS:
        if key in draft.object_at(parent):
            message = f"'{key}' has no effect: certificates come from the start-up kit."
            draft.note((*parent, key), "MMAR612", message)
            draft.leave_out((*parent, key))


def _idle(draft: Draft, path: JsonPath) -> None:
    """Drop a key that is not needed here, with a note; own components in it get a warning."""
    key = str(path[-1])
    reason = aliases.IDLE_KEYS.get(key)
    if not reason or key not in draft.object_at(path[:-1]):
        return
    own = list(_own(draft, path)) if key in _CALLED_NO_MORE else []
    for where, name in own:
        message = f"'{name}' is not called here: {reason}."
        draft.warn(where, "MMAR222", message)
    if not own:
        draft.note(path, "MMAR211", f"'{key}' has no effect: {reason}.")
    draft.leave_out(path)


def _own(draft: Draft, path: JsonPath) -> Iterable[tuple[JsonPath, str]]:
    """Yield the components of an idle key that no older system brought."""
    value = draft.document.get(path)
    items = _items(draft, path) if isinstance(value, list) else [path]
    for where in items:
        declared = draft.document.get(where)
        if not isinstance(declared, dict) or declared.get("disabled") is True:
            continue
        name = declared.get("path") or declared.get("name")
        if isinstance(name, str) and older_name(declared) not in FEDERATED:
            yield where, name


def _validation_on_server(draft: Draft) -> None:
    """Turn ``validate_on_server`` and ``num_rounds_per_valid`` into ``validate_every``."""
    task = draft.object_at(_TASK)
    wanted = task.get("validate_on_server") is True
    for key in ("validate_on_server", "num_rounds_per_valid"):
        if key not in task:
            continue
        idle = "has no effect: the server does not validate"
        becomes = "is now 'validate_every'" if wanted else idle
        draft.note((*_TASK, key), "MMAR210", f"'{key}' {becomes}.")
    if wanted and "validate_every" not in draft.document.value:
        key = "num_rounds_per_valid" if "num_rounds_per_valid" in task else "validate_on_server"
        every = task.get("num_rounds_per_valid", 1)
        draft.put(("validate_every",), every, (*_TASK, key))
    if isinstance(task.get("validate_on_server"), bool):
        draft.drop((*_TASK, "validate_on_server"))
        draft.drop((*_TASK, "num_rounds_per_valid"))


# -- components ------------------------------------------------------------------------


def _items(draft: Draft, path: JsonPath) -> list[JsonPath]:
    value = draft.document.get(path)
    return [(*path, index) for index in range(len(value))] if isinstance(value, list) else []


def _filters(draft: Draft, path: JsonPath) -> None:
    """Leave the filters out that need nothing in their place."""
    kept = []
    for where in _items(draft, path):
        reason = _needs_nothing(draft, where)
        if reason is None:
            kept.append(where)
            continue
        key = "path" if "path" in draft.object_at(where) else "name"
        name = older_name(draft.document.get(where))
        draft.note((*where, key), "MMAR212", f"'{name}' is not needed: {reason}.")
        draft.unread(where)
    draft.keep(path, kept)
    for where in _items(draft, path):
        _arguments(draft, where)


def _needs_nothing(draft: Draft, where: JsonPath) -> str | None:
    """Return why an item of a list of filters may be left out, or None."""
    declared = draft.document.get(where)
    name = older_name(declared)
    if name is None:
        return None
    if name in FEDERATED and FEDERATED[name].needs_nothing:
        return FEDERATED[name].needs_nothing
    argument = ARGUMENTS[name].off_if_empty if name in ARGUMENTS else ""
    args = declared.get("args", {})
    if not argument or not isinstance(args, dict) or argument not in args:
        return None
    return f"its '{argument}' excludes nothing" if _excludes_nothing(args[argument]) else None


def _excludes_nothing(value: Any) -> bool:
    return value is None or value == [] or value in list(aliases.EXCLUDES_NOTHING)


def _arguments(draft: Draft, path: JsonPath) -> None:
    """Translate the arguments of an older component."""
    declared = draft.object_at(path)
    name = older_name(declared)
    rules = ARGUMENTS.get(name or "")
    args = declared.get("args", {})
    if rules is None or declared.get("disabled") is True or not isinstance(args, dict):
        return
    for argument, reason in rules.dropped.items():
        if argument in args:
            where = (*path, "args", argument)
            draft.note(where, "MMAR211", f"'{argument}' has no effect: {reason}.")
            draft.leave_out(where)
    for argument, key in rules.to_top.items():
        if args.get(argument) is not None:
            where = (*path, "args", argument)
            draft.note(where, "MMAR210", f"'{argument}' is now the key '{key}'.")
            draft.move(where, (key,))
        else:
            args.pop(argument, None)
    for argument, value in rules.implied.items():
        if argument not in args:
            where = (*path, "path" if "path" in declared else "name")
            message = f"'{argument}' of '{name}' was {str(value).lower()} unless declared."
            draft.note(where, "MMAR210", message)
            draft.put((*path, "args", argument), value, draft.document.origin(where))
