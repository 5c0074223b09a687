# SPDX-License-Identifier: Apache-2.0
"""What the MMAR of a run says, variables replaced, as its copy in the run's folder has it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.errors import MmarRunnerError
from mmar_runner.mmar.components.build import DEFAULTS
from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.folder import open_folder
from mmar_runner.mmar.sources.configuration import parse_files, prepare
from mmar_runner.mmar.sources.variables import ANY_CLIENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mmar_runner.mmar.document import Document
    from mmar_runner.reporting.history import History

#: Lines of one file, and letters of one value, that are shown.
_MOST_LINES: Final = 1_000
_MOST_VALUE: Final = 400
_SECRET: Final = re.compile(
    r"(?i)passw|secret|(^|[_\-.])token|api_?key|credential|private_?key|pwd"
)
_HIDDEN: Final = "(hidden)"
_COMPONENTS: Final = {
    "aggregator": "Aggregator",
    "workflow": "Workflow",
    "model_persistor": "Model persistor",
    "model_validator": "Model validator",
    "inbound_filters": "Filters of updates, at the server",
    "outbound_filters": "Filters of the model, at the server",
    "handlers": "Handlers",
    "result_processors": "Result processors",
}
_AT_SITES: Final = {
    "client_trainer": "Trainer",
    "inbound_filters": "Filters of the model, at a site",
    "outbound_filters": "Filters of updates, at a site",
}
_TASK: Final = {
    "num_rounds": "Round to stop at",
    "start_round": "First round",
    "min_num_clients": "Updates that close a round, at least",
    "max_num_clients": "Clients at once, at most",
    "wait_after_min_clients": "Seconds that a round then stays open",
    "heart_beat_timeout": "Seconds of silence until a client is removed",
}
_TOP: Final = {
    "clients_per_round": "Clients invited to a round",
    "round_deadline": "Seconds until a round closes",
    "max_wait": "Seconds without progress until the run is stopped",
    "max_num_samples": "Samples that a client may claim",
    "update_codec": "Element types of updates on their way",
    "compression": "Compression of models and updates on their way",
    "validate_every": "Rounds between validations",
    "ckpt_preload_path": "Checkpoint to begin with",
    "exclude_vars": "Tensors left as they are",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What the MMAR says.

    Attributes:
        rows: Settings in words, and their values.
        variables: The ``--set`` values.
        files: Lines of the configuration files, by name: JSON with variables replaced.
        num_rounds: The round to stop at; None if it is not known, or the run never stops.
    """

    rows: tuple[tuple[str, str], ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    files: tuple[tuple[str, list[str]], ...] = ()
    num_rounds: int | None = None


def read_settings(folder: Path, history: History, notes: list[str]) -> Settings:
    """Return what the copy of the MMAR in a run's folder says.

    Args:
        folder: The run's.
        history: What the run did; its ``--set`` values are put in.
        notes: Gets a sentence if it cannot be read.
    """
    if not (folder / "mmar").is_dir():
        notes.append("there is no mmar/: what its MMAR said is not known")
        return Settings()
    try:
        findings = Findings()
        parsed = parse_files(open_folder(folder / "mmar", findings), findings)
        sources = prepare(parsed, history.settings, ANY_CLIENT, findings)
    except (MmarRunnerError, OSError) as error:
        notes.append(f"the MMAR could not be read: {error}")
        return Settings()
    if sources.server is None:
        notes.append("the MMAR's server file could not be read")
    given = without_secrets(history.settings)
    last = _task(sources.server).get("num_rounds")
    return Settings(
        rows=(*_server(sources.server), *_client(sources.client)),
        variables=tuple((name, _value(value)) for name, value in sorted(given.items())),
        files=tuple((one.file, _lines(one.value)) for one in sources.documents()),
        num_rounds=last if type(last) is int and last >= 0 else None,
    )


def _task(server: Document | None) -> Mapping[str, Any]:
    value = None if server is None else server.get(("servers", 0))
    return {**DEFAULTS, **value} if isinstance(value, dict) else {}


def _server(server: Document | None) -> Iterator[tuple[str, str]]:
    if server is None:
        return
    task = _task(server)
    yield from ((words, _value(task[key])) for key, words in _TASK.items() if key in task)
    top = server.value
    yield from ((words, _value(top[key])) for key, words in _TOP.items() if key in top)
    yield from _declared(server, _COMPONENTS)


def _client(client: Document | None) -> Iterator[tuple[str, str]]:
    if client is not None:
        yield from _declared(client, _AT_SITES)


def _declared(document: Document, slots: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for key, words in slots.items():
        value = document.value.get(key)
        every = value if isinstance(value, list) else [value]
        yield from ((words, _component(one)) for one in every if isinstance(one, dict) and one)


def _component(declared: Mapping[str, Any]) -> str:
    name = str(declared.get("path") or declared.get("name") or "?")
    args = declared.get("args")
    return f"{name} {_value(args)}" if args else name


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(without_secrets(value))
    return text if len(text) <= _MOST_VALUE else f"{text[:_MOST_VALUE]}..."


def _lines(value: Any) -> list[str]:
    lines = json.dumps(without_secrets(value), indent=2, ensure_ascii=False).split("\n")
    return lines if len(lines) <= _MOST_LINES else [*lines[:_MOST_LINES], "..."]


def without_secrets(value: Any) -> Any:
    """Return a JSON value without those whose keys sound like secrets.

    A page is sent around; an MMAR that has a password in it should not have, but may.
    """
    if isinstance(value, dict):
        return {
            key: _HIDDEN if _SECRET.search(str(key)) else without_secrets(one)
            for key, one in value.items()
        }
    return [without_secrets(one) for one in value] if isinstance(value, list) else value
