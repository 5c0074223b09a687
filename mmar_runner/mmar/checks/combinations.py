# SPDX-License-Identifier: Apache-2.0
"""Do the algorithms that are declared go together? Their plugins' tags say (`interfaces.tags`)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mmar_runner.interfaces.tags import Tag, least_clients, tags_of
from mmar_runner.mmar.checks.case import TASK, first_present, whole
from mmar_runner.mmar.components.build import takes_part, task_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.components.resolving import Resolved
    from mmar_runner.mmar.document import Document

_OUTBOUND = "outbound_filters"
#: What a filter does that control variates do not survive.
_SPOILS = {
    Tag.DROPS_TENSORS: "leaves tensors out",
    Tag.BOUNDS_VALUES: "changes single values",
    Tag.ADDS_NOISE: "adds noise",
}


@dataclass(frozen=True, slots=True)
class _Part:
    """A declared component, and what it states of itself with its arguments."""

    document: Document
    path: JsonPath
    name: str
    args: dict[str, Any]
    tags: frozenset[str]
    least: int


def check_combinations(look: Look) -> None:
    """Check what components state against each other, and against the number of clients."""
    filters = list(_filters(look))
    _noise(look, filters)
    _masks_come_last(look, filters)
    _masks_and_cross_site(look, filters)
    aggregator = _server_part(look, "aggregator")
    if aggregator is None:
        return
    workflow = _server_part(look, "workflow")
    for part in (aggregator, *filters):
        _enough_clients(look, aggregator, part)
    _by_turns(look, aggregator, workflow)
    _codec(look, aggregator)
    trainer = _client_part(look, "client_trainer")
    if look.both() is None or trainer is None:
        return
    _masks(look, aggregator, workflow, filters)
    _variates(look, aggregator, trainer, filters)


# What is declared


def _server_part(look: Look, slot: str) -> _Part | None:
    if look.server is None:
        return None
    return _part(look.server, (slot,), look.server_parts.singles.get((slot,)))


def _client_part(look: Look, slot: str) -> _Part | None:
    if look.client is None:
        return None
    return _part(look.client, (slot,), look.client_parts.singles.get((slot,)))


def _filters(look: Look) -> Iterator[_Part]:
    """Yield the filters of what leaves a site, in order; of one that is not known, nothing."""
    if look.client is None:
        return
    for index, found in enumerate(look.client_parts.lists.get((_OUTBOUND,), ())):
        part = _part(look.client, (_OUTBOUND, index), found)
        if part is not None:
            yield part


def _part(document: Document, path: JsonPath, found: Resolved | None) -> _Part | None:
    """Return what a declaration states; None for what is not declared, or cannot be built.

    Code of the MMAR's own states nothing, and is held to nothing.
    """
    if found is None or found.spec is None:
        return None
    if found.description is None:
        return _Part(document, path, found.spec.name, {}, frozenset(), 1)
    properties = found.description.args_schema.get("properties", {})
    defaults = {name: one["default"] for name, one in properties.items() if "default" in one}
    args = {**defaults, **found.spec.args}
    extras = found.description.extras
    return _Part(
        document, path, found.spec.name, args, tags_of(extras, args), least_clients(extras, args)
    )


def _say(look: Look, part: _Part, message: str, hint: str) -> None:
    look.findings.at(part.document, part.path, "MMAR650", message, hint=hint)


# The rules


def _enough_clients(look: Look, aggregator: _Part, part: _Part) -> None:
    """Say that an algorithm's guarantee needs more clients than a round may close with.

    Args:
        look: Where to say it.
        aggregator: The one that is declared, in whose file the number of clients stands.
        part: Whose guarantee it is: the aggregator's, or that of a filter.
    """
    server = aggregator.document
    counted = whole(task_value(server, "min_num_clients"))
    if counted is None or counted < 1 or counted >= part.least:
        return
    where = first_present(server, (*TASK, "min_num_clients"), aggregator.path)
    if look.findings.is_wrong_at(server, where):
        return
    message = (
        f"'{part.name}' with these arguments needs updates of {part.least} clients; "
        f"a round may close with {counted} (min_num_clients)."
    )
    hint = f"Write at least {part.least}, or let '{part.name}' withstand fewer."
    look.findings.at(server, where, "MMAR651", message, hint=server.explain(where, hint))


def _by_turns(look: Look, aggregator: _Part, workflow: _Part | None) -> None:
    if workflow is None or Tag.ONE_AT_A_TIME not in workflow.tags:
        return
    if aggregator.least > 1:
        message = (
            f"'{workflow.name}' closes a round with one update; '{aggregator.name}' needs "
            f"{aggregator.least}."
        )
        _say(look, aggregator, message, f"Take FedAvg, or another workflow than {workflow.name}.")


def _codec(look: Look, aggregator: _Part) -> None:
    codec = aggregator.document.value.get("update_codec", "none")
    if Tag.UNMASKS in aggregator.tags and codec != "none":
        message = f"'{aggregator.name}' takes masked whole numbers; update_codec would round them."
        hint = "Remove it: masked updates are as short as they can be."
        place = ("update_codec",)
        look.findings.at(aggregator.document, place, "MMAR650", message, hint=hint)


def _noise(look: Look, filters: list[_Part]) -> None:
    """Say that noise protects nothing if the norm of what it is added to has no bound."""
    clipped = False
    for one in filters:
        clipped = clipped or Tag.CLIPS in one.tags
        if Tag.NOISE_NEEDS_CLIP in one.tags and not clipped:
            message = f"Nothing bounds the norm before '{one.name}' adds noise: it is no privacy."
            _say(look, one, message, "Declare NormClip before it, or a filter that does both.")


def _masks_come_last(look: Look, filters: list[_Part]) -> None:
    masking = next((one for one in filters if Tag.MASKS in one.tags), None)
    if masking is None:
        return
    for one in filters[filters.index(masking) + 1 :]:
        message = f"'{one.name}' comes after '{masking.name}', and would change masked values."
        _say(look, one, message, f"Declare it before '{masking.name}'.")


def _masks_and_cross_site(look: Look, filters: list[_Part]) -> None:
    """Say that a best local model leaves as it is, from which the masked update can be told."""
    masking = next((one for one in filters if Tag.MASKS in one.tags), None)
    if masking is None or not takes_part(masking.document):
        return
    if not masking.document.get(("cross_site_validation", "outbound_filters")):
        message = (
            f"'{masking.name}' masks updates, and cross-site validation sends the best local "
            "model as it is, to the server and to every site."
        )
        hint = "Declare filters in cross_site_validation.outbound_filters, or take no part in it."
        _say(look, masking, message, hint)


def _masks(look: Look, aggregator: _Part, workflow: _Part | None, filters: list[_Part]) -> None:
    masking = next((one for one in filters if Tag.MASKS in one.tags), None)
    unmasks = Tag.UNMASKS in aggregator.tags
    if masking is None:
        if unmasks and _all_known(look):
            message = f"'{aggregator.name}' adds up masked updates, and no filter masks them."
            _say(look, aggregator, message, "Declare its filter last in the outbound_filters.")
        return
    if not unmasks:
        why = (
            "compares updates one by one, and masked ones say nothing"
            if Tag.NEEDS_EACH_UPDATE in aggregator.tags
            else "takes no masked updates"
        )
        message = f"'{aggregator.name}' {why}; '{masking.name}' masks them."
        _say(look, aggregator, message, f"Take the aggregator that belongs to '{masking.name}'.")
    else:
        _same_terms(look, aggregator, masking)
    for one in filters:
        if Tag.SCALES in one.tags and one is not masking:
            message = (
                f"'{one.name}' weighs an update at its client; under '{masking.name}' nobody can "
                "divide by the sum of such weights."
            )
            _say(look, one, message, f"Remove it: '{masking.name}' weighs by itself.")
    if workflow is not None and workflow.tags & {Tag.ONE_AT_A_TIME, Tag.ASYNCHRONOUS}:
        message = f"'{workflow.name}' asks clients apart; masks cancel only within one group."
        _say(look, workflow, message, f"Remove it, or remove '{masking.name}'.")


def _same_terms(look: Look, aggregator: _Part, masking: _Part) -> None:
    """Say that what masks and what unmasks have an argument in common, with other values."""
    for name in sorted(aggregator.args.keys() & masking.args.keys()):
        theirs, ours = aggregator.args[name], masking.args[name]
        if theirs != ours:
            message = (
                f"'{aggregator.name}' has {name} {theirs!r}, and '{masking.name}' {ours!r}: the "
                "sum could not be read."
            )
            _say(look, aggregator, message, f"Give both the same {name}.")


def _all_known(look: Look) -> bool:
    """Return whether every filter's tags are known: the MMAR's own code may mask too."""
    found = look.client_parts.lists.get((_OUTBOUND,), ())
    return all(one.spec is None or one.description is not None for one in found)


def _variates(look: Look, aggregator: _Part, trainer: _Part, filters: list[_Part]) -> None:
    wanted = Tag.CONTROL_VARIATES in aggregator.tags
    sent = Tag.SENDS_CONTROL_VARIATES in trainer.tags
    own = look.client_parts.singles[("client_trainer",)].description is None
    if sent and not wanted:
        message = f"'{trainer.name}' sends control variates, and '{aggregator.name}' takes none."
        _say(look, trainer, message, "Declare the aggregator Scaffold.")
    if not wanted:
        return
    if not sent and not own:
        message = f"'{aggregator.name}' needs control variates, and '{trainer.name}' sends none."
        _say(look, trainer, message, 'Give the trainer "algorithm": "scaffold".')
    for one in filters:
        spoils = next((word for tag, word in _SPOILS.items() if tag in one.tags), None)
        if spoils is not None and _reaches_variates(one):
            message = f"'{one.name}' {spoils}, also of the control variates that SCAFFOLD needs."
            _say(look, one, message, "Remove it, or take another aggregator.")


def _reaches_variates(one: _Part) -> bool:
    """Return whether a filter's own choice of tensors leaves control variates alone."""
    chosen = one.args.get("exclude_vars")
    if isinstance(chosen, str):
        # What names a layer leaves out both: its weights and their variates.
        return re.search(chosen, "control_variate/") is not None
    if isinstance(chosen, list):
        return any(str(name).startswith("control_variate/") for name in chosen)
    return Tag.DROPS_TENSORS not in one.tags or chosen is None
