# SPDX-License-Identifier: Apache-2.0
"""Reads what a run left behind and judges it by rules of its own.

It replays the journal without the code that wrote it, and compares it with the
projection, the summary, the model files and what the clients saw.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from mmar_runner.storage.journal import JournalEvent, read_events


@dataclass(slots=True)
class Story:
    """What the journal adds up to, and what is wrong with it.

    Attributes:
        accepted: The accepted updates of each round, withdrawn ones left out: their sha256.
        closed: The summary of each closed round, in order.
        ended: The status of the last end on record, empty before.
        wrong: Sentences, each a rule that was broken.
    """

    accepted: dict[int, dict[str, str]] = field(default_factory=dict)
    closed: dict[int, dict[str, Any]] = field(default_factory=dict)
    ended: str = ""
    first_round: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def current(self) -> int:
        """The round to go on with."""
        return max(self.closed, default=self.first_round - 1) + 1

    def see(self, event: JournalEvent) -> None:
        """Take in one event."""
        match event.kind:
            case "run_started":
                self.first_round = event.data["round"]
            case "update_accepted":
                self._accepted(event)
            case "update_refused" | "update_taken_back":
                # One that was accepted before is withdrawn by it.
                self.accepted.get(event.data["round"], {}).pop(event.data["client"], None)
            case "round_closed":
                self._closed(event)
            case "checkpoint_lost":
                self._lost(event.data["round"], event.data["kept"])
            case "run_ended":
                self.ended = event.data["status"]
            case _:
                return

    def _accepted(self, event: JournalEvent) -> None:
        number, client = event.data["round"], event.data["client"]
        of_round = self.accepted.setdefault(number, {})
        if client in of_round:
            self.wrong.append(f"{client} is counted twice in round {number}")
        if number != self.current:
            self.wrong.append(f"{client}: round {number} in round {self.current}")
        of_round[client] = event.data["sha256"]

    def _lost(self, model: int, kept: Iterable[str]) -> None:
        """Go back to the round whose result was lost, with the updates that are still there."""
        self.closed.pop(model - 1, None)
        self.accepted.pop(model, None)
        before = self.accepted.get(model - 1, {})
        self.accepted[model - 1] = {client: before[client] for client in kept}

    def _closed(self, event: JournalEvent) -> None:
        number, summary = event.data["round"], event.data["summary"]
        if number != self.current:
            self.wrong.append(f"round {number} closes, round {self.current} is due")
        summed = [entry["client"] for entry in summary["contributions"]]
        if summed != sorted(self.accepted.get(number, {})):
            counted = sorted(self.accepted.get(number, {}))
            self.wrong.append(f"round {number}: {summed} are summed, {counted} were accepted")
        self.closed[number] = summary


def judge(
    run: Path, *, receipts: Mapping[str, Iterable[Mapping[str, Any]]], finished: bool = True
) -> Story:
    """Judge a run by what it left, and raise what is wrong.

    Args:
        run: ``WORKSPACE/run_<N>``.
        receipts: What each client observed as submitted.
        finished: Whether the run is over, so that its files are complete.

    Raises:
        AssertionError: A rule was broken; every one that was is named.
    """
    story = Story()
    events = read_events(run / "journal.db")
    if [event.seq for event in events] != list(range(1, len(events) + 1)):
        story.wrong.append("the journal's numbers have gaps")
    for event in events:
        story.see(event)
    _check_receipts(story, receipts)
    _check_projection(story, run / "events.jsonl", events, finished=finished)
    _check_models(story, run / "models")
    if finished:
        _check_end(story, run)
    assert not story.wrong, "\n".join(story.wrong)
    return story


def _check_receipts(story: Story, receipts: Mapping[str, Iterable[Mapping[str, Any]]]) -> None:
    for client, seen in receipts.items():
        for receipt in seen:
            if client not in story.accepted.get(receipt["round"], {}):
                story.wrong.append(
                    f"{client} has a receipt for round {receipt['round']}: no record"
                )


def _check_projection(
    story: Story, path: Path, events: list[JournalEvent], *, finished: bool
) -> None:
    lines = path.read_text().split("\n")[:-1]  # the last may be torn
    told = [(line["seq"], line["kind"]) for line in map(json.loads, lines)]
    truth = [(event.seq, event.kind) for event in events]
    if told != truth[: len(told)] or (finished and len(told) != len(truth)):
        story.wrong.append(f"events.jsonl is not the journal's: {len(told)} of {len(truth)} events")


def _check_models(story: Story, models: Path) -> None:
    recorded = {number + 1: entry["model_sha256"] for number, entry in story.closed.items()}
    for path in models.glob("round_*.safetensors"):
        number = int(path.stem.removeprefix("round_"))
        found = sha256(path.read_bytes()).hexdigest()
        # One that is newer than the journal was whole when its server was killed.
        if number in recorded and found != recorded[number]:
            story.wrong.append(f"{path.name} is not the recorded model")
    if story.closed and not (models / f"round_{story.current:04d}.safetensors").exists():
        story.wrong.append(f"the model of round {story.current} is not there")


def _check_end(story: Story, run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    if summary["rounds"] != list(story.closed.values()):
        story.wrong.append("summary.json tells of other rounds than the journal")
    if story.ended != summary["status"]:
        story.wrong.append(f"the journal ends {story.ended}, the summary {summary['status']}")
    if story.closed and summary["final_model"]:
        final = sha256((run / summary["final_model"]).read_bytes()).hexdigest()
        if final != summary["rounds"][-1]["model_sha256"]:
            story.wrong.append("final.safetensors is not the last round's result")
    left = [path.name for path in (run / "updates").rglob("*") if path.is_file()]
    if left:
        story.wrong.append(f"updates are left behind: {left}")
