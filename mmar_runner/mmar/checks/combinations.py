# SPDX-License-Identifier: Apache-2.0
"""Do the algorithms that are declared go together? Their plugins' tags say (`interfaces.tags`)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.interfaces.tags import Tag
from mmar_runner.mmar.checks.case import TASK, first_present, whole
from mmar_runner.mmar.checks.stated import (
    INBOUND,
    OUTBOUND,
    all_filters_known,
    client_part,
    outbound_filters,
    server_filters,
    server_part,
)
from mmar_runner.mmar.components.build import takes_part, task_value

if TYPE_CHECKING:
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.checks.stated import Stated

#: What a filter does that control variates do not survive.
_SPOILS = {
    Tag.DROPS_TENSORS: "leaves tensors out",
    Tag.BOUNDS_VALUES: "changes single values",
    Tag.ADDS_NOISE: "adds noise",
}


def check_combinations(look: Look) -> None:
    """Check what components state against each other, and against the number of clients."""
    filters = list(outbound_filters(look))
    _noise(look, filters)
    _masks_come_last(look, filters)
    _best_models(look, filters)
    _masks_and_cross_site(look, filters)
    aggregator = server_part(look, "aggregator")
    if aggregator is None:
        return
    workflow = server_part(look, "workflow")
    for part in (aggregator, *filters):
        _enough_clients(look, aggregator, part)
    if workflow is not None:
        _by_turns(look, aggregator, workflow)
        _not_together(look, aggregator, workflow)
        _of_older_models(look, aggregator, workflow)
    _codec(look, aggregator)
    _masked_here(look, aggregator)
    trainer = client_part(look, "client_trainer")
    if look.both() is None or trainer is None:
        return
    _masks(look, aggregator, filters)
    _variates(look, aggregator, trainer, filters)


def _say(look: Look, part: Stated, message: str, hint: str) -> None:
    look.findings.at(part.document, part.path, "MMAR650", message, hint=hint)


def _named(look: Look, kind: ComponentKind, tag: str) -> str:
    """Return which installed components of a kind have a tag, for a hint; or an empty text."""
    return " or ".join(look.resolver.tagged(kind, tag))


def _enough_clients(look: Look, aggregator: Stated, part: Stated) -> None:
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
    hint = f"Write at least {part.least}{_or_lower(part)}."
    look.findings.at(server, where, "MMAR651", message, hint=server.explain(where, hint))


def _or_lower(part: Stated) -> str:
    """Return in words which arguments would do with fewer clients; empty if none would."""
    per = [f"'{name}'" for name in part.asks_for_clients if part.args.get(name)]
    return f", or lower {' and '.join(per)} of '{part.name}'" if per else ""


def _by_turns(look: Look, aggregator: Stated, workflow: Stated) -> None:
    if Tag.ONE_AT_A_TIME in workflow.tags and aggregator.least > 1:
        message = (
            f"'{workflow.name}' closes a round with one update; '{aggregator.name}' needs "
            f"{aggregator.least}."
        )
        _say(look, aggregator, message, f"Take FedAvg, or another workflow than {workflow.name}.")


def _not_together(look: Look, aggregator: Stated, workflow: Stated) -> None:
    """Say what needs a group of clients that are asked together, and are drawn by chance."""
    if not workflow.tags & {Tag.ONE_AT_A_TIME, Tag.ASYNCHRONOUS}:
        return
    if Tag.UNMASKS in aggregator.tags:
        message = (
            f"'{workflow.name}' asks clients apart; the masks that '{aggregator.name}' adds up "
            "cancel only within one group."
        )
        _say(look, workflow, message, "Remove it, or mask nothing and take another aggregator.")
    if Tag.COUNTS_SAMPLING in aggregator.tags:
        message = (
            f"'{aggregator.name}' counts as privacy that clients are drawn by chance; under "
            f"'{workflow.name}' their speed or their turn decides."
        )
        hint = f"Let '{aggregator.name}' count every round in full, or remove '{workflow.name}'."
        _say(look, aggregator, message, hint)


def _of_older_models(look: Look, aggregator: Stated, workflow: Stated) -> None:
    """Say what does not hold for updates that were made from several models.

    What sums needs nothing more, nor what keeps a state, nor what bounds each update by
    itself: an update of one client at most is in a round, and age only makes it smaller.
    """
    if Tag.STALE_BASES not in workflow.tags:
        return
    if Tag.CONTROL_VARIATES in aggregator.tags:
        why = (
            f"'{workflow.name}' scales down what is of an older model, also changes of control "
            f"variates: the server's would not stay the clients' mean, as '{aggregator.name}' needs"
        )
    elif Tag.COMPARES_UPDATES in aggregator.tags:
        why = (
            f"'{aggregator.name}' takes honest updates for samples of one distribution; under "
            f"'{workflow.name}' they are made from several models and scaled by their age"
        )
    else:
        return
    hint = 'Allow no older models ("max_staleness": 0), or take another aggregator.'
    _say(look, aggregator, f"{why}.", hint)


def _codec(look: Look, aggregator: Stated) -> None:
    codec = aggregator.document.value.get("update_codec", "none")
    if Tag.UNMASKS in aggregator.tags and codec != "none":
        message = f"'{aggregator.name}' takes masked whole numbers; update_codec would round them."
        hint = "Remove it: masked updates are as short as they can be."
        place = ("update_codec",)
        look.findings.at(aggregator.document, place, "MMAR650", message, hint=hint)


def _masked_here(look: Look, aggregator: Stated) -> None:
    """Say that a filter of the server cannot read masked updates, or masks what nobody unmasks."""
    for slot in (INBOUND, OUTBOUND):
        for one in server_filters(look, slot):
            if Tag.MASKS in one.tags:
                message = f"'{one.name}' masks what leaves a site; at the server nobody unmasks it."
                _say(look, one, message, "Declare it in the client's outbound_filters.")
            elif slot == INBOUND and Tag.UNMASKS in aggregator.tags:
                message = (
                    f"'{aggregator.name}' takes masked updates, which '{one.name}' cannot read."
                )
                _say(look, one, message, "Declare it at the clients, before what masks.")


def _noise(look: Look, filters: list[Stated]) -> None:
    """Say that noise protects nothing if the norm of what it is added to has no bound."""
    clipped = False
    for one in filters:
        clipped = clipped or Tag.CLIPS in one.tags
        if Tag.NOISE_NEEDS_CLIP in one.tags and not clipped:
            message = f"Nothing bounds the norm before '{one.name}' adds noise: it is no privacy."
            _say(look, one, message, "Declare NormClip before it, or a filter that does both.")


def _masks_come_last(look: Look, filters: list[Stated]) -> None:
    masking = next((one for one in filters if Tag.MASKS in one.tags), None)
    if masking is None:
        return
    for one in filters[filters.index(masking) + 1 :]:
        message = f"'{one.name}' comes after '{masking.name}', and would change masked values."
        again = Tag.MASKS in one.tags
        mend = "Remove it" if again else f"Declare it before '{masking.name}'"
        _say(look, one, message, f"{mend}.")


def _best_models(look: Look, filters: list[Stated]) -> None:
    """Say that cross-site validation sends models past the noise that protects updates."""
    if look.client is None or not takes_part(look.client):
        return
    section = ("cross_site_validation", OUTBOUND)
    if any(one.spec is not None for one in look.client_parts.lists.get(section, ())):
        return
    for one in filters:
        if Tag.ADDS_NOISE in one.tags:
            message = (
                f"'{one.name}' adds noise to updates; for cross-site validation the best local "
                "model leaves the site as it is."
            )
            look.findings.at(look.client, ("cross_validate",), "MMAR652", message)
            return


def _masks_and_cross_site(look: Look, filters: list[Stated]) -> None:
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


def _masks(look: Look, aggregator: Stated, filters: list[Stated]) -> None:
    masking = next((one for one in filters if Tag.MASKS in one.tags), None)
    unmasks = Tag.UNMASKS in aggregator.tags
    if masking is None:
        if unmasks and all_filters_known(look):
            message = f"'{aggregator.name}' adds up masked updates, and no filter masks them."
            which = _named(look, ComponentKind.FILTER, Tag.MASKS) or "its filter"
            _say(look, aggregator, message, f"Declare {which} last in the outbound_filters.")
        return
    if not unmasks:
        why = (
            "compares updates one by one, and masked ones say nothing"
            if Tag.NEEDS_EACH_UPDATE in aggregator.tags
            else "takes no masked updates"
        )
        message = f"'{aggregator.name}' {why}; '{masking.name}' masks them."
        fits = _named(look, ComponentKind.AGGREGATOR, Tag.UNMASKS)
        which = fits or f"the aggregator that belongs to '{masking.name}'"
        _say(look, aggregator, message, f"Take {which}.")
    else:
        _same_terms(look, aggregator, masking)
    for one in filters:
        if Tag.SCALES in one.tags and one is not masking:
            message = (
                f"'{one.name}' weighs an update at its client; under '{masking.name}' nobody can "
                "divide by the sum of such weights."
            )
            _say(look, one, message, f"Remove it: '{masking.name}' weighs by itself.")


def _same_terms(look: Look, aggregator: Stated, masking: Stated) -> None:
    """Say that what masks and what unmasks have an argument in common, with other values."""
    for name in sorted(aggregator.args.keys() & masking.args.keys()):
        theirs, ours = aggregator.args[name], masking.args[name]
        if theirs != ours:
            message = (
                f"'{aggregator.name}' has {name} {theirs!r}, and '{masking.name}' {ours!r}: the "
                "sum could not be read."
            )
            _say(look, aggregator, message, f"Give both the same {name}.")


def _variates(look: Look, aggregator: Stated, trainer: Stated, filters: list[Stated]) -> None:
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


def _reaches_variates(one: Stated) -> bool:
    """Return whether a filter changes control variates, by its own choice of tensors."""
    chosen = one.args.get("exclude_vars")
    if isinstance(chosen, str):
        # What names a layer leaves out both: its weights and their variates.
        return re.search(chosen, "control_variate/") is not None
    if isinstance(chosen, list):
        return any(str(name).startswith("control_variate/") for name in chosen)
    return Tag.DROPS_TENSORS not in one.tags or chosen is None
