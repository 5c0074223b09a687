# SPDX-License-Identifier: Apache-2.0
"""Do the declared components make up a job?"""

from __future__ import annotations

import json
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.interfaces.nested import is_off
from mmar_runner.mmar.checks.case import whole
from mmar_runner.mmar.components.build import takes_part

if TYPE_CHECKING:
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.components.resolving import Resolved
    from mmar_runner.mmar.document import Document


_NEAR: Final = 0.8


def check_parts(look: Look) -> None:
    """Check that what a run needs is declared, and that it fits together."""
    if look.server is not None:
        _switched_off(look, look.server, "aggregator")
        _initial_model(look, look.server)
        _server_validation(look, look.server)
        _selectors(look, look.server)
        _handlers_alike(look, look.server)
        _answered_twice(look, look.server)
    if look.client is not None:
        _switched_off(look, look.client, "client_trainer")
        _cross_site(look, look.client)
    if look.both():
        _topics(look)
        _kinds_of_update(look)


def _switched_off(look: Look, document: Document, slot: str) -> None:
    declared = document.get((slot,))
    if slot in document.value and isinstance(declared, dict) and is_off(declared):
        message = f"'{slot}' is required but is empty or switched off."
        hint = f"Declare one, or remove \"disabled\" from it: no run goes without '{slot}'."
        look.findings.at(document, (slot,), "MMAR516", message, hint=hint)


def _initial_model(look: Look, server: Document) -> None:
    persistor = server.get(("model_persistor",), {})
    if not isinstance(persistor, dict) or not is_off(persistor):
        return
    if server.value.get("ckpt_preload_path"):
        return
    if "model_persistor" not in server.value and _misspelt(look, server, "model_persistor"):
        return
    path = ("model_persistor",) if "model_persistor" in server.value else ()
    message = "Nothing gives the initial model: no model_persistor, no ckpt_preload_path."
    hint = "Declare a model_persistor, or name a checkpoint in ckpt_preload_path."
    look.findings.at(server, path, "MMAR608", message, hint=hint)


def _misspelt(look: Look, server: Document, slot: str) -> bool:
    """Report a missing slot at the unknown key that was meant to be it; False if there is none."""
    for found in look.findings.with_code("MMAR404"):
        key = found.pointer.removeprefix("/")
        if found.file == server.file and get_close_matches(slot, [key], n=1, cutoff=_NEAR):
            look.findings.remove([found])
            message = f"Nothing gives the initial model: '{slot}' is missing; here stands '{key}'."
            hint = f"Did you mean '{slot}'?"
            look.findings.at(server, (key,), "MMAR608", message, hint=hint, key=True)
            return True
    return False


def _server_validation(look: Look, server: Document) -> None:
    every = whole(server.value.get("validate_every"))
    if every is None or every < 1 or not is_off(server.get(("model_validator",))):
        return
    message = "Only clients validate by validate_every: the server declares no model_validator."
    hint = "Declare model_validator, if the server is to validate too."
    look.findings.at(server, ("validate_every",), "MMAR617", message, hint=hint)


def _selectors(look: Look, server: Document) -> None:
    """At most one handler may choose the best model."""
    chosen = [
        index
        for index, handler in enumerate(look.server_parts.lists.get(("handlers",), ()))
        if _fact(handler, "selects_best_model")
    ]
    for index in chosen[1:]:
        message = "A second handler chooses the best model."
        look.findings.at(server, ("handlers", index), "MMAR618", message, hint="Keep one of them.")


def _handlers_alike(look: Look, server: Document) -> None:
    """The same handler with the same arguments does everything twice, or writes over itself."""
    known = set[tuple[str, str]]()
    for index, handler in enumerate(look.server_parts.lists.get(("handlers",), ())):
        spec = handler.spec
        if spec is None or _fact(handler, "selects_best_model"):
            continue  # of a second selector more is said
        alike = (spec.name, json.dumps(spec.args, sort_keys=True))
        if alike in known:
            message = f"'{spec.name}' is declared twice with the same arguments."
            hint = "Remove one of them, unless every event is to be handled twice."
            look.findings.at(server, ("handlers", index), "MMAR647", message, hint=hint)
        known.add(alike)


def _answered_twice(look: Look, server: Document) -> None:
    """A topic has one processor: with two the server does not start."""
    taken: dict[str, int] = {}
    for index, processor in enumerate(look.server_parts.lists.get(("result_processors",), ())):
        for topic in _fact(processor, "topics") or ():
            first = taken.setdefault(topic, index)
            if first != index:
                message = f"The topic '{topic}' is answered by result_processors/{first} already."
                path = ("result_processors", index)
                look.findings.at(server, path, "MMAR629", message, hint="Keep one of them.")


def _cross_site(look: Look, client: Document) -> None:
    on = client.get(("cross_validate",)) is True
    section = client.get(("cross_site_validation",))
    joins = isinstance(section, dict) and section.get("is_participating") is True
    if on and not joins:
        message = "cross_validate is on, but this client does not take part."
        hint = 'Set "is_participating": true in cross_site_validation.'
        look.findings.at(client, ("cross_validate",), "MMAR616", message, hint=hint)
    _unused_validator(look, client)
    if joins and not takes_part(client):
        path = ("cross_site_validation", "is_participating")
        message = "This client takes part in cross-site validation, which is off."
        look.findings.at(client, path, "MMAR616", message, hint='Set "cross_validate": true.')


def _unused_validator(look: Look, client: Document) -> None:
    """The older place of the validator counts only within cross-site validation."""
    if client.get(("model_validator",)):
        message = "'model_validator' has no effect: cross-site validation is off."
        hint = "Move it to cross_site_validation and switch that on, or remove it."
        look.findings.at(client, ("model_validator",), "MMAR616", message, hint=hint, key=True)


def _topics(look: Look) -> None:
    """Every topic that a client's component sends should have a processor."""
    processors = look.server_parts.lists.get(("result_processors",), [])
    answers = [_fact(processor, "topics") for processor in processors]
    if any(found is None for found in answers):
        return  # one of them is not installed or does not say what it answers
    known = {topic for topics in answers for topic in topics}
    for part in look.client_parts.every():
        for topic in _fact(part, "sends_topics") or ():
            if topic not in known and part.spec is not None and look.client is not None:
                _unanswered(look, look.client, part.spec.name, topic)


def _unanswered(look: Look, client: Document, name: str, topic: str) -> None:
    message = f"'{name}' sends results of the topic '{topic}', which no result_processor answers."
    hint = "Declare a result_processor for it; until then such results are dropped."
    look.findings.at(client, ("client_trainer",), "MMAR607", message, hint=hint)


def _kinds_of_update(look: Look) -> None:
    aggregator = look.server_parts.singles.get(("aggregator",))
    trainer = look.client_parts.singles.get(("client_trainer",))
    takes, gives = stated(look, aggregator, "expects"), stated(look, trainer, "produces")
    if not takes or not gives or set(takes) & set(gives) or look.server is None:
        return
    message = f"The aggregator takes {', '.join(takes)}; the trainer gives {', '.join(gives)}."
    hint = "Change what the aggregator expects or what the trainer sends."
    told = _fact(trainer, "produces")
    if isinstance(told, dict):
        hint = f'Give the trainer "{told["argument"]}": "{takes[0]}".'
    look.findings.at(look.server, ("aggregator",), "MMAR620", message, hint=hint)


def stated(look: Look, part: Resolved | None, name: str) -> Any:
    """Return a fact that may depend on an argument, as ``{"argument": NAME}`` says; or None."""
    found = _fact(part, name)
    if not isinstance(found, dict) or part is None or part.description is None:
        return found
    argument = str(found["argument"])
    known = look.resolver.properties(part.description.kind, part.description.name)
    default = known.get(argument, {}).get("default")
    value = part.spec.args.get(argument, default) if part.spec is not None else None
    return [value.lower()] if isinstance(value, str) else None


def _fact(part: Resolved | None, name: str) -> Any:
    """Return a static fact that a component's plugin states, or None."""
    if part is None or part.description is None:
        return None
    return part.description.extras.get(name)
