# SPDX-License-Identifier: Apache-2.0
"""Observations as sentences, and numbers as people read them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mmar_runner.documents.words import counted, human_bytes, human_seconds, printable
from mmar_runner.federation.run_status import RunStatus
from mmar_runner.interfaces.observer import Topic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mmar_runner.interfaces.observer import Observation

#: Clients of whom a line says why they were left out.
_MOST_CLIENTS: Final = 10
#: Lines of a failed task's log that are shown.
_LOG_SHOWN: Final = 10
#: What is said of the run before a new one.
_BEFORE: Final[Mapping[str, str]] = {
    RunStatus.FINISHED: "is finished",
    RunStatus.FAILED: "has failed",
    "left": "is left unfinished",
}


def human_metrics(metrics: Mapping[str, Any] | None) -> str:
    """Return the numbers among metrics as ``auc 0.9812, loss 0.1034``, sorted by name."""
    numbers = sorted(
        (name, value)
        for name, value in (metrics or {}).items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    )
    return ", ".join(f"{name} {value:.4g}" for name, value in numbers)


def human_progress(progress: Mapping[str, Any]) -> str:
    """Return how far something is: ``25.0 MiB of 100.0 MiB``, ``step 5 of 9``."""
    done, total = progress.get("done") or 0, progress.get("total") or 0
    if progress.get("unit") == "bytes":
        return f"{human_bytes(done)} of {human_bytes(total)}"
    return f"step {done} of {total}" if total else f"step {done}"


def _steps(data: Mapping[str, Any]) -> str:
    told = {"done": data.get("step"), "total": data.get("steps")}
    return f", {human_progress(told)}" if any(told.values()) else ""


def round_of(number: int, num_rounds: int | None) -> str:
    """Return ``round 3 (last: 9)``; a run that never stops has no last one."""
    if num_rounds is None or num_rounds < 0:
        return f"round {number}"
    return f"round {number} (last: {num_rounds - 1})"


def sentence(observation: Observation) -> str:
    """Return one line that says what happened, without a time and without a full stop."""
    return printable(_SENTENCES[observation.topic](observation.data))


def further_lines(observation: Observation) -> list[str]:
    """Return what is said below the sentence: the end of a failed task's log, indented.

    A failure that is the same again shows none.
    """
    log = observation.data.get("log") or ()
    if not log or observation.data.get("again") == "same":
        return []
    shown = [f"    | {printable(str(line))}" for line in log[-_LOG_SHOWN:]]
    if more := len(log) - len(shown):
        shown.insert(0, f"    | ... {counted(more, 'line')} before, in the run's events.jsonl")
    return shown


def _standing(d: Mapping[str, Any]) -> str:
    if "client" in d:
        return f"{d['client']} waits for orders from {d.get('target')}"
    return f"waiting for clients on {d.get('listen')}, for administrators on {d.get('admin')}"


def _listening(data: Mapping[str, Any]) -> str:
    number = data.get("run_number") or 0
    if data.get("ended"):
        ended = _BEFORE.get(str(data["ended"]), "is over")
        return (
            f"listening on {data.get('listen')}: run {number} in {data.get('workspace')} {ended}; "
            "clients that have not heard of it are told, and no new run is begun"
        )
    verb = "resuming" if data.get("resumed") else "starting"
    text = f"listening on {data.get('listen')}, {verb} run {number} in {data.get('workspace')}"
    before = _BEFORE.get(str(data.get("before")), "")
    if data.get("before") == RunStatus.FAILED:
        before += ", with --retry-failed it would have gone on"
    return f"{text}; run {number - 1} {before}" if before else text


def _waiting(data: Mapping[str, Any]) -> str:
    since = data.get("since_seconds")
    begin = f"still waiting after {human_seconds(since)}" if since else "waiting"
    return f"{begin}: {data.get('message')}"


def _round_started(data: Mapping[str, Any]) -> str:
    participants = data.get("participants") or ()
    return (
        f"{round_of(data['round'], data.get('num_rounds'))} started with "
        f"{counted(len(participants), 'client')}"
    )


def _update_accepted(data: Mapping[str, Any]) -> str:
    facts = [human_bytes(data.get("bytes") or 0), counted(data.get("num_samples", 0), "sample")]
    if data.get("seconds_train") is not None:
        facts.append(f"trained for {human_seconds(data['seconds_train'])}")
    return f"update of {data['client']} for round {data['round']} accepted: {', '.join(facts)}"


def _round_finished(data: Mapping[str, Any]) -> str:
    metrics = human_metrics(data.get("metrics"))
    text = f"{round_of(data['round'], data.get('num_rounds'))} finished in "
    text += human_seconds(data.get("seconds") or 0)
    return f"{text}: {metrics}" if metrics else text


def _run_ended(data: Mapping[str, Any]) -> str:
    text = f"run {data.get('status')}"
    if data.get("wall_seconds") is not None:
        text += f" after {human_seconds(data['wall_seconds'])}"
    if data.get("reason"):
        text += f": {_why_ended(data)}"
    if data.get("run_folder"):
        text += f"; results in {data['run_folder']}"
    if data.get("status") == RunStatus.FINISHED and "best_round" in data:
        best = data["best_round"]
        text += ", no best model" if best is None else f", the best is that of round {best}"
    return text + _failed_tasks(data.get("tasks") or {})


def _failed_tasks(tasks: Mapping[str, Any]) -> str:
    """Return how many of a client's tasks failed; nothing if none did."""
    if not (failed := tasks.get("failed") or 0):
        return ""
    every = failed + (tasks.get("succeeded") or 0)
    said = f"{failed} of {every} tasks failed"
    if failed == every:
        said = "its one task failed" if every == 1 else f"none of {every} tasks succeeded"
    return f"; {said}, the last in {tasks.get('last_failure')}"


def _left_out(data: Mapping[str, Any]) -> str:
    said = [
        f"{one['client']} took part in {one['rounds']} of {counted(one['of'], 'round')}: "
        f"{one['reason']}"
        for one in data.get("clients") or ()
    ]
    shown = said[:_MOST_CLIENTS]
    more = [f"and {len(said) - len(shown)} more, see summary.json"] if said != shown else []
    return "; ".join([*shown, *more]) or "nobody was left out"


def _trained(data: Mapping[str, Any]) -> str:
    metrics = human_metrics(data.get("metrics"))
    text = f"round {data['round']}: trained on {counted(data.get('num_samples', 0), 'sample')} in "
    text += human_seconds(data.get("seconds") or 0)
    return f"{text}: {metrics}" if metrics else text


def _submitted(data: Mapping[str, Any]) -> str:
    text = f"round {data['round']}: update of {human_bytes(data.get('bytes') or 0)} submitted in "
    text += human_seconds(data.get("seconds") or 0)
    return f"{text} (it was counted before)" if data.get("duplicate") else text


def best_model(data: Mapping[str, Any]) -> str:
    """Return which round's result is the best so far, by which score."""
    number, scored = data["round"], data.get("scored_in", data["round"])
    when = "" if scored == number else f" (scored in round {scored})"
    return f"the result of round {number}{when} with {data.get('score', 0):.4g}"


def no_answer(data: Mapping[str, Any]) -> str:
    """Return since when which server does not answer, and why."""
    target, since = str(data.get("target")), data.get("since_seconds") or 0
    message, silent = str(data.get("message")), f"no answer from {target}"
    hint = f" ({data['hint']})" if data.get("hint") else ""
    long = f" for {human_seconds(since)}" if since >= 1 else ""
    if message.startswith(f"{target} "):  # it says itself what is wrong with the server
        return f"{message}{long and ','}{long}; trying again{hint}"
    why = "" if message == silent else f": {message.removeprefix(f'{silent}: ')}"
    what = f"has not answered{long}" if long else "does not answer"
    return f"{target} {what}, trying again{why}{hint}"


def _refusal(data: Mapping[str, Any], what: str) -> str:
    again = data.get("again")
    if again == "same":  # its sentence may be long, and was just said
        return f"{what} again, for the same reason [{data.get('reason')}]"
    message = data.get("message") or data.get("reason")
    return f"{what}{' again' if again else ''}: {message} [{data.get('reason')}]"


def _task_failed(data: Mapping[str, Any]) -> str:
    what = f"round {data['round']}: training failed"
    if data.get("client"):  # seen from the server, where the message's paths are none
        what = f"the task of {data['client']} for round {data['round']} failed at its site"
    hint = f" ({data['hint']})" if data.get("hint") else ""
    return f"{_refusal(data, what)}{hint}"


def _component_failed(data: Mapping[str, Any]) -> str:
    inside = data.get("round") is not None
    when = f" of round {data['round']}, and the run goes on" if inside else ""
    hint = f" ({data['hint']})" if data.get("hint") else ""
    what = f"{data.get('component')} failed at {data.get('event')}{when}"
    return f"{what}: {data.get('message')}{hint}"


def _why_ended(data: Mapping[str, Any]) -> str:
    """Return why a run has ended.

    At its server the causes of failed tasks are left out: each was told as it came, and all
    are in the error with which the command ends.
    """
    reason = str(data["reason"])
    failed = data.get("status") == RunStatus.FAILED and "best_round" in data
    return reason.partition("; ")[0] if failed else reason


def _cross_site_started(data: Mapping[str, Any]) -> str:
    names = data.get("participants") or ()
    return f"cross-site validation{': ' if names else ' begins'}{', '.join(names)}"


def _cross_site_model(data: Mapping[str, Any]) -> str:
    whose = f" of {data['client']}" if "client" in data else ""
    if reason := data.get("reason"):
        return f"cross-site validation: no best local model{whose} ({reason})"
    return f"cross-site validation: the best local model{whose} is there"


def _cross_site_result(data: Mapping[str, Any]) -> str:
    at = f" on the data of {data['client']}" if "client" in data else ""
    what = f"cross-site validation: the model of {data.get('owner')}{at}"
    if metrics := data.get("metrics"):
        return f"{what}: {', '.join(f'{name} {value:.6g}' for name, value in metrics.items())}"
    return f"{what} was not validated ({data.get('reason')})"


_SENTENCES: Final[Mapping[Topic, Callable[[Mapping[str, Any]], str]]] = {
    Topic.LISTENING: _listening,
    Topic.STANDING: _standing,
    Topic.CLIENT_JOINED: lambda d: f"{d['client']} joined, {d.get('active')} active",
    Topic.CLIENT_BACK: lambda d: f"{d['client']} is back, {d.get('active')} active",
    Topic.CLIENT_LEFT: lambda d: (
        f"{d['client']} left ({d.get('reason')}), {d.get('active')} active"
    ),
    Topic.CLIENT_REMOVED: lambda d: (
        f"{d.get('message')}{' (' + str(d['reason']) + ')' if d.get('reason') else ''}"
    ),
    Topic.MIN_CLIENTS: lambda d: (
        f"from round {d.get('round')} on a round needs updates of {d.get('number')} sites, "
        f"no more {d.get('before')}"
    ),
    Topic.TASK_GIVEN_AGAIN: lambda d: (
        f"{d['client']} is given its task of round {d.get('round')} again"
    ),
    Topic.ASSIGNED: lambda d: (
        f"{d['client']} works below {d.get('combiner')}"
        f"{', no more below ' + str(d['before']) if d.get('before') else ''}"
        f"{' at ' + str(d['target']) if d.get('target') else ''}"
    ),
    Topic.TURN_PASSED: lambda d: (
        f"round {d.get('round')}: the turn of {d.get('before')} goes to {d['client']}"
    ),
    Topic.CLIENT_STATE: lambda d: f"{d['client']} is {d.get('state')}{_steps(d)}",
    Topic.ROUND_STARTED: _round_started,
    Topic.MODEL_SENT: lambda d: f"{d['client']} was sent {human_bytes(d.get('bytes') or 0)}",
    Topic.CLIENT_PROGRESS: lambda d: f"{d['client']}: {human_progress(d)}",
    Topic.UPDATE_ACCEPTED: _update_accepted,
    Topic.UPDATE_REFUSED: lambda d: _refusal(
        d, f"update of {d['client']} for round {d.get('round')} refused"
    ),
    Topic.ROUND_FINISHED: _round_finished,
    Topic.OUTLIER: lambda d: f"round {d.get('round')}: {d['client']} is odd: {d.get('message')}",
    Topic.WAITING: _waiting,
    Topic.MODEL_LOST: lambda d: str(d.get("message")),
    Topic.CROSS_SITE_STARTED: _cross_site_started,
    Topic.CROSS_SITE_MODEL: _cross_site_model,
    Topic.CROSS_SITE_RESULT: _cross_site_result,
    Topic.BEST_MODEL: lambda d: f"best model so far: {best_model(d)}",
    Topic.COMPONENT_FAILED: _component_failed,
    Topic.SITE_DECLINED: lambda d: _refusal(d, f"{d['client']} will not run the MMAR"),
    Topic.LEFT_OUT: _left_out,
    Topic.RUN_ENDED: _run_ended,
    Topic.CONNECTING: lambda d: f"connecting to {d.get('target')}",
    Topic.UNREACHABLE: no_answer,
    Topic.ANSWERS: lambda d: (
        f"{d.get('target')} answers again, after {human_seconds(d.get('after_seconds') or 0)}"
    ),
    Topic.PACKAGE_RECEIVED: lambda d: (
        f"MMAR {d.get('mmar')} of {human_bytes(d.get('bytes') or 0)} received in "
        f"{human_seconds(d.get('seconds') or 0)}"
    ),
    Topic.REGISTERED: lambda d: f"registered as {d['client']} in run {d.get('run_number')}",
    Topic.MODEL_RECEIVED: lambda d: (
        f"round {d['round']}: model of {human_bytes(d.get('bytes') or 0)} received in "
        f"{human_seconds(d.get('seconds') or 0)}"
    ),
    Topic.TRAINING: lambda d: f"round {d['round']}: training",
    Topic.TRAINED: _trained,
    Topic.TASK_FAILED: _task_failed,
    Topic.SUBMITTED: _submitted,
    Topic.REFUSED: lambda d: _refusal(d, f"round {d.get('round')}: the server refused the update"),
}
