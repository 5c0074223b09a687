# SPDX-License-Identifier: Apache-2.0
"""Does anybody measure the metric by which the best model is chosen?

Who measures states it in ``extras`` as ``measures``: ``parts``, a JSON pointer pattern of
declared metrics, or several; ``prefix``, which goes before a metric's name in small letters;
``label``, the key that renames it; ``key``, the one that makes it the key metric; ``always``,
what is measured besides, with the pointer of what must be declared for it. A handler states
in ``reads_metric`` which argument names its metric.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mmar_runner.documents.words import did_you_mean
from mmar_runner.interfaces.nested import is_off
from mmar_runner.mmar.checks.places import places
from mmar_runner.mmar.sources.configuration import TRAIN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.components.resolving import Resolved
    from mmar_runner.mmar.document import Document

#: The topic under which every client sends what it measured.
_TOPIC: Final = "metrics"


def check_metrics(look: Look) -> None:
    """Compare what is measured with what the handlers read, and labels with each other."""
    trainer = look.client_parts.singles.get(("client_trainer",))
    validator = look.server_parts.singles.get(("model_validator",))
    training = look.files.train
    validation = look.files.validation or training
    _labels(look, trainer, training)
    _kept(look, trainer, training)
    if look.files.validation is not None:
        _labels(look, validator or trainer, look.files.validation)
    if look.server is None or (look.client is None and not look.server.value.get("validate_every")):
        return
    if look.server.value.get("validate_every") and validator is not None:
        source, measured = validation, _measured(look, validator, validation)
    else:
        source, measured = training, _measured(look, trainer, training)
    missing = source is None and look.findings.faulty(TRAIN)
    sound = not missing and (source is None or not look.findings.faulty(source.file))
    if measured is not None and sound:  # otherwise it is not known what would be measured
        _read(look, look.server, measured)


def _facts(part: Resolved | None) -> Mapping[str, Any] | None:
    if part is None or part.description is None:
        return None
    found: Mapping[str, Any] | None = part.description.extras.get("measures")
    return found


def _patterns(facts: Mapping[str, Any]) -> list[str]:
    stated = facts.get("parts", [])
    return [stated] if isinstance(stated, str) else list(stated)


def _measured(look: Look, part: Resolved | None, document: Document | None) -> list[str] | None:
    """Return the names of what is measured, or None if that is not known."""
    facts = _facts(part)
    if facts is None:
        return None
    declared = [name for _, name in _declared(facts, document)]
    sections = [pattern.split("/")[1] for pattern in _patterns(facts)]
    held = document.value if document is not None else {}
    runs = not sections or any(section in held for section in sections)
    for name, pointer in facts.get("always", {}).items() if runs else ():
        train = look.files.train
        where = tuple(pointer.removeprefix("/").split("/"))
        value = train.get(where) if train and pointer else True
        if not is_off(value):
            declared.append(name)
    return declared


def _declared(
    facts: Mapping[str, Any], document: Document | None
) -> Iterator[tuple[JsonPath, str]]:
    if document is None:
        return
    for path in (place for one in _patterns(facts) for place in places(document.value, one)):
        item = document.get(path)
        if not isinstance(item, dict) or is_off(item):
            continue
        label, name = item.get(facts.get("label", "")), item.get("path", item.get("name"))
        if isinstance(label, str):
            yield path, label
        elif isinstance(name, str):
            yield path, f"{facts.get('prefix', '')}{name.rpartition('.')[2].lower()}"


def metrics_at(document: Document, pattern: str, facts: Mapping[str, Any]) -> list[str]:
    """Return under which names metrics are reported.

    Args:
        document: Where they are declared.
        pattern: Their places.
        facts: ``prefix`` and ``label``, as ``measures`` has them.
    """
    return [name for _, name in _declared({**facts, "parts": pattern}, document)]


def _kept(look: Look, trainer: Resolved | None, training: Document | None) -> None:
    """Say what becomes of metrics that no result_processor of the server answers."""
    both = look.both()
    if both is None or not list(_declared(_facts(trainer) or {}, training)):
        return
    for processor in look.server_parts.lists.get(("result_processors",), ()):
        known = processor.description.extras.get("topics") if processor.description else None
        if known is None or _TOPIC in known:
            return
    path: JsonPath = ("result_processors",) if "result_processors" in both[0].value else ()
    message = "No result_processor takes the clients' metrics: summary.json has their averages."
    hint = "Nothing needs to be done; a result_processor such as MetricsProcessor writes a table."
    look.findings.at(both[0], path, "MMAR646", message, hint=hint)


def _labels(look: Look, part: Resolved | None, document: Document | None) -> None:
    seen: set[str] = set()
    for path, name in _declared(_facts(part) or {}, document):
        if name in seen and document is not None:
            message = f"A metric is reported as '{name}' already; the last one counts."
            hint = 'Give it a "log_label" of its own, or remove it.'
            look.findings.at(document, path, "MMAR632", message, hint=hint)
        seen.add(name)
    _key_metrics(look, part, document)


def _key_metrics(look: Look, part: Resolved | None, document: Document | None) -> None:
    """At most one metric of a list may be the key metric."""
    facts = _facts(part) or {}
    if document is None or "key" not in facts:
        return
    declared = [path for path, _ in _declared(facts, document)]
    marked = [path for path in declared if document.get((*path, facts["key"])) is True]
    for path in marked[1:]:
        message = "A second metric is to be the key metric."
        hint = f'Keep "{facts["key"]}" with one of them; the server\'s handler names what counts.'
        look.findings.at(document, (*path, facts["key"]), "MMAR643", message, hint=hint)


def _read(look: Look, server: Document, measured: list[str]) -> None:
    for index, part in enumerate(look.server_parts.lists.get(("handlers",), ())):
        if part.spec is None or part.description is None:
            continue
        argument = part.description.extras.get("reads_metric")
        if argument is None:
            continue
        wanted = part.spec.args.get(argument)
        path: JsonPath = ("handlers", index, "args", argument)
        there = [name for name in measured if wanted is not None or "loss" not in name]
        if wanted in measured or (wanted is None and there):
            _direction(look, server, path, part)
            continue
        names = ", ".join(sorted(there)) or "nothing"
        known = f"What is measured: {names}."
        message = f"Nobody measures '{wanted}'." if wanted else "Nobody measures anything."
        hint = (did_you_mean(wanted, there) if wanted else None) or known
        where = path if wanted is not None else ("handlers", index)
        look.findings.at(server, where, "MMAR628", message, hint=hint)


def _direction(look: Look, server: Document, path: JsonPath, part: Resolved) -> None:
    """Warn if larger losses are taken for better ones."""
    if part.spec is None or part.description is None:
        return
    argument = part.description.extras.get("larger_is_better")
    wanted = server.get(path)
    if argument is None or not isinstance(wanted, str) or "loss" not in wanted.lower():
        return
    known = look.resolver.properties(part.spec.kind, part.spec.name)
    default = known.get(argument, {}).get("default")
    if part.spec.args.get(argument, default) is True:
        message = f"'{wanted}' is a loss, and the largest one would be the best."
        hint = f'Write "{argument}": false beside it.'
        look.findings.at(server, path, "MMAR634", message, hint=hint)
