# SPDX-License-Identifier: Apache-2.0
"""Does the plan of rounds make sense?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmar_runner.interfaces.nested import is_off
from mmar_runner.mmar.checks.case import TASK, Look, first_present, number, whole
from mmar_runner.mmar.components.build import task_value

if TYPE_CHECKING:
    from mmar_runner.mmar.document import Document
    from mmar_runner.mmar.finding import Findings


def check_rounds(look: Look) -> None:
    """Check everything about tasks, clients, rounds and times."""
    _task_names(look)
    if look.server is not None:
        _client_bounds(look.server, look.findings, look.asked.clients or 0)
        _round_bounds(look.server, look.findings)
        _clients_per_round(look.server, look.findings)
        _deadline(look.server, look.findings)
        _validations(look.server, look.findings)
        _extra_servers(look.server, look.findings)
    if look.client is not None:
        _extra_servers(look.client, look.findings)


def _task_names(look: Look) -> None:
    both = look.both()
    if both is None:
        return
    server, client = both
    path = (*TASK, "name")
    for document in both:
        if document.is_unresolved(path):  # the other side would be told another name
            look.findings.raise_severity(document, path, "MMAR301")
    ours, theirs = server.get(path), client.get(path)
    if not isinstance(ours, str) or not isinstance(theirs, str):
        return
    if not ours or not theirs or ours == theirs:
        return
    if any(d.is_unresolved(path) or d.in_doubt(d.origin(path)) for d in both):
        return
    message = f"The client names the task '{theirs}', the server '{ours}'."
    look.findings.at(client, path, "MMAR601", message, hint=f"Write '{ours}'.")


_MEND = "Lower the minimum or raise the maximum: no round could ever close."


def _client_bounds(server: Document, findings: Findings, admitted: int) -> None:
    least, most = (whole(task_value(server, f"{m}_num_clients")) for m in ("min", "max"))
    if least is None or most is None or least < 1 or most < 1 or least <= max(most, admitted):
        return
    bounds = ((*TASK, "min_num_clients"), (*TASK, "max_num_clients"))
    if any(findings.is_wrong_at(server, bound) for bound in bounds):
        return  # it was said that no number of clients is so large
    where = first_present(server, *bounds)
    message = f"min_num_clients ({least}) is above max_num_clients ({most})."
    findings.at(server, where, "MMAR602", message, hint=server.explain(where, _MEND))


def _round_bounds(server: Document, findings: Findings) -> None:
    start, stop = whole(task_value(server, "start_round")), whole(task_value(server, "num_rounds"))
    if start is None or stop is None or stop < 0 or start < stop:
        return
    where = (*TASK, "start_round" if start > 0 else "num_rounds")
    message = f"Rounds run from start_round ({start}) to num_rounds - 1 ({stop - 1}): none."
    hint = f"num_rounds is the round to stop at, not a count; at least {start + 1}."
    findings.at(server, where, "MMAR603", message, hint=server.explain(where, hint))


def _clients_per_round(server: Document, findings: Findings) -> None:
    drawn = whole(server.value.get("clients_per_round"))
    if drawn is None or drawn < 1:
        return
    least, most = (whole(task_value(server, f"{m}_num_clients")) for m in ("min", "max"))
    if least is not None and drawn < least:
        message = f"A round draws {drawn} clients but needs {least} updates (min_num_clients)."
        hint = f"Draw at least {least}, or lower min_num_clients."
        findings.at(server, ("clients_per_round",), "MMAR604", message, hint=hint)
    elif most is not None and drawn > most:
        message = f"A round draws {drawn} clients but at most {most} may join (max_num_clients)."
        hint = f"Draw at most {most}, or raise max_num_clients."
        findings.at(server, ("clients_per_round",), "MMAR604", message, hint=hint)


def _deadline(server: Document, findings: Findings) -> None:
    deadline = number(server.value.get("round_deadline"))
    wait = number(task_value(server, "wait_after_min_clients"))
    stated = (*TASK, "wait_after_min_clients")
    if deadline is None or wait is None or not 0 < deadline < wait:
        return
    if not first_present(server, stated):
        return
    message = f"round_deadline ({deadline:g} s) is below wait_after_min_clients ({wait:g} s)."
    hint = f"The round closes at the deadline, whatever the wait: make it {wait:g} s or more."
    findings.at(server, ("round_deadline",), "MMAR611", message, hint=hint)


def _validations(server: Document, findings: Findings) -> None:
    every = whole(server.value.get("validate_every"))
    start, stop = whole(task_value(server, "start_round")), whole(task_value(server, "num_rounds"))
    if every is None or start is None or stop is None or not start < stop or every < 1:
        return
    if is_off(server.get(("model_validator",))):
        return  # which is said elsewhere
    rounds = stop - start
    if every > rounds:
        message = f"The server validates every {every} rounds, and the run has {rounds}: never."
        hint = f"Write at most {rounds}, or remove validate_every."
        findings.at(server, ("validate_every",), "MMAR627", message, hint=hint)


def _extra_servers(server: Document, findings: Findings) -> None:
    servers = server.get(("servers",))
    if isinstance(servers, list) and len(servers) > 1:
        message = f"There are {len(servers)} servers; only the first is used."
        findings.at(server, ("servers", 1), "MMAR619", message, hint="Remove the others.")
