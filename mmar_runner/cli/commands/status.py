# SPDX-License-Identifier: Apache-2.0
"""``mmar-runner status``: what a run is at, what it waits for, and whether a server has it."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mmar_runner.cli.output import echo_json, json_option, say
from mmar_runner.cli.views.wording import (
    human_metrics,
    human_progress,
    round_of,
)
from mmar_runner.documents.words import counted, human_seconds
from mmar_runner.errors import UsageError
from mmar_runner.federation.client_status import ClientStatus
from mmar_runner.federation.run_status import RunStatus
from mmar_runner.server.status.status_reading import read_status

if TYPE_CHECKING:
    from mmar_runner.server.status.facts import ClientFacts, FailureFacts, OutlierFacts
    from mmar_runner.server.status.results import RunResults
    from mmar_runner.server.status.status_reading import WorkspaceStatus

#: Clients that are shown to people; a program gets them all.
_SHOWN: Final = 40
#: A client that lives says so every ten seconds, or more often; where there are very many, so
#: many in a second.
_SILENT_SECONDS: Final = 12.0
_HEARD_PER_SECOND: Final = 25.0


@click.command("status")
@click.argument("workspace", required=False, type=click.Path(path_type=Path))
@json_option
def command(workspace: Path | None, as_json: bool) -> None:
    """Say what the last run of WORKSPACE is at, and what it waits for since when.

    Without WORKSPACE it is the only one below ./workspace. The exit code is 0 whether or
    not a server is running.
    """
    status = read_status(workspace or _only_workspace())
    if as_json:
        echo_json(_as_json(status))
        return
    for line in _lines(status):
        say(line)


def _only_workspace() -> Path:
    found = sorted({run.parent for run in Path("workspace").glob("*/run_*") if run.is_dir()})
    if len(found) == 1:
        return found[0]
    names = f" ({', '.join(map(str, found))})" if found else ""
    msg = f"there is not one workspace below ./workspace, but {len(found)}{names}"
    raise UsageError(msg, hint="name the folder that run-server was given with --workspace")


def _as_json(status: WorkspaceStatus) -> dict[str, Any]:
    return {
        "workspace": str(status.workspace),
        "server": None if status.pid is None else {"listen": status.listen, "pid": status.pid},
        "holder": status.holder,
        "resumable": status.resumable,
        "silent_seconds": status.silent_seconds,
        "note": status.note,
        "run": dict(status.run),
        "results": status.results,
    }


def _lines(status: WorkspaceStatus) -> list[str]:
    run = status.run
    notes = [f"note: {status.note}"] if status.note else []
    if status.pid is None:
        ended = [*_results(status.results), *_failed(status), *_odd(status)]
        return [_without_server(status), *notes, *ended]
    reason = f": {run['reason']}" if run["reason"] else ""
    where = round_of(run["round"], run["num_rounds"])
    as_of = f", as of {run['updated']}" if run["updated"] else ""
    lines = [
        *_silence(status),
        f"run {run['run_number']} in {status.workspace}: {run['status']}, {where}{reason}{as_of}",
        f"the server listens on {status.listen} (process {status.pid})",
        *notes,
        *_failed(status),
        *_odd(status),
    ]
    if said := human_metrics(run.get("aggregation")):
        lines.append(f"the aggregator says of the last finished round: {said}")
    if run["waiting_for"]:
        lines.append(f"waiting since {run['since']}: {run['waiting_for']}")
    silent = max(_SILENT_SECONDS, len(run["clients"]) / _HEARD_PER_SECOND)
    lines += [_client(client, run["updated"], silent) for client in run["clients"][:_SHOWN]]
    if (more := len(run["clients"]) - _SHOWN) > 0:
        lines.append(f"  and {more} more")
    return lines


def _failed(status: WorkspaceStatus) -> list[str]:
    """Return who of the run's components failed while it went on: nobody else says so later."""
    logs = status.workspace / f"run_{status.run['run_number']}" / "logs"
    failed = status.run.get("components_failed", [])
    return [*map(_failures, failed), *([f"what they raised is in {logs}"] if failed else [])]


def _failures(failed: FailureFacts) -> str:
    last = failed["last_round"]
    often = f" {failed['times']} times" if failed["times"] > 1 else ""
    when = "" if last is None else f"{', last in' if often else ' in'} round {last}"
    return f"{failed['component']} failed{often} at {failed['event']}{when}: {failed['message']}"


def _odd(status: WorkspaceStatus) -> list[str]:
    """Return whose updates were unlike the others': a rule may have taken them all the same."""
    return list(map(_outlier, status.run.get("outliers", [])))


def _outlier(outlier: OutlierFacts) -> str:
    often = counted(outlier["times"], "round")
    when = f"in {often}, last in round {outlier['last_round']}"
    return f"{outlier['client']} is unlike the others {when}: {outlier['message']}"


def _silence(status: WorkspaceStatus) -> list[str]:
    """Return what is said of a server that is there and writes nothing: no fact is of now."""
    if status.silent_seconds is None:
        return []
    silent = human_seconds(status.silent_seconds)
    question = "is its disk full, or is it stopped? What follows is as old as that"
    return [f"the server (process {status.pid}) has written nothing for {silent}: {question}"]


def _without_server(status: WorkspaceStatus) -> str:
    run = status.run
    if status.holder is not None and run["status"].resumable:
        return (
            f"process {status.holder} has run {run['run_number']}, which is at round "
            f"{run['round']}, and does not listen: it begins, or ends, or is a combiner that "
            "waits for a model from its parent"
        )
    if status.resumable:
        why = f" ({run['reason']})" if run["reason"] else ""
        return (
            f"no server is running; run {run['run_number']} is at round {run['round']}{why} and "
            "can be resumed with the same command"
        )
    reason = f": {run['reason']}" if run["reason"] else ""
    retry = ""
    if run["status"] is RunStatus.FAILED:
        retry = "; the same command with --retry-failed goes on with it"
    return f"no server is running; run {run['run_number']} has {run['status']}{reason}{retry}"


def _results(results: RunResults | None) -> list[str]:
    """Return where a run's results are, and how good they are."""
    if results is None:
        return []
    took = f"{counted(results['rounds'], 'round')} in {human_seconds(results['wall_seconds'])}"
    lines = [f"  results in {results['folder']}: {took}"]
    if metrics := human_metrics(results["metrics"]):
        lines.append(f"  last round: {metrics}")
    if said := human_metrics(results["aggregation"]):
        lines.append(f"  the aggregator says of the last round: {said}")
    if results["final_model"] is not None:
        lines.append(f"  final model: {results['final_model']}")
    if results["best_round"] is None:
        return [*lines, "  no best model was chosen"]
    return [
        *lines,
        f"  best model, the result of round {results['best_round']}: {results['best_model']}",
    ]


def _client(client: ClientFacts, now: str | None, long: float) -> str:
    facts = [f"{client['state']} since {client['since']}"]
    if client["state"] is ClientStatus.EXPECTED:
        facts = [f"expected: not heard of since the server's start at {client['since']}"]
    if (progress := client["progress"]) is not None:
        facts.append(human_progress(progress))
    if client["last_heard"]:
        heard = client["last_heard"]
        facts.append(f"last heard of at {heard}{_silent(heard, now, long)}")
    if below := client.get("below"):
        states = Counter(site["state"].value for site in below)
        each = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
        facts.append(f"{counted(len(below), 'site')} below: {each}")
    return f"  {client['name']}: {', '.join(facts)}"


def _silent(heard: str, now: str | None, long: float) -> str:
    """Return for how long a client has been silent, if that is longer than one that lives is."""
    try:
        silent = (datetime.fromisoformat(now or "") - datetime.fromisoformat(heard)).total_seconds()
    except (ValueError, TypeError):  # of an older program, or nothing
        return ""
    return f", silent for {human_seconds(silent)}" if silent > long else ""
