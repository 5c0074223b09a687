# SPDX-License-Identifier: Apache-2.0
"""What a server wrote down while it was attacked: its audit log, its journal, its models."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

from mmar_runner.security.audit.reading import read_audit
from mmar_runner.server.gate.certificate_gate import HEALTH_METHODS, ROLE_OF_METHOD
from tests.faults.watched import until

#: Who is refused is written down at once; a line may be under way for so long.
AUDIT_SECONDS = 5.0


class Evidence:
    """What one server wrote down, and what is expected of it.

    Args:
        workspace: The server's.

    Attributes:
        refusals: How many of a kind, by who and reason, the audit log must tell at the end.
        uncounted: Kinds of which there may be any number.
        lost: How many refusals may be told once more than they were heard of.
    """

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self.refusals: Counter[tuple[str, str]] = Counter()
        self.uncounted: set[tuple[str, str]] = set()
        self.lost = 0

    def audit(self) -> list[dict[str, Any]]:
        """Return every line of the audit log that is whole."""
        path = self._workspace / "audit.jsonl"
        text = path.read_text() if path.exists() else ""
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def expect(self, who: str, reason: str) -> None:
        """Expect one more refusal in the audit log, and see that one is there already."""
        if reason != "OVERLOADED":  # the transport's own, of which no program hears
            self.refusals[who, reason] += 1
            self.lines(who, reason)

    def lines(self, who: str, reason: str) -> list[dict[str, Any]]:
        """Wait for lines about a refusal, and return them."""
        deadline = time.monotonic() + AUDIT_SECONDS
        while not (found := self._refused(who, reason)):
            assert time.monotonic() < deadline, f"no line for {who!r}, {reason}"
            time.sleep(0.02)
        return found

    def one_line(self, who: str, reason: str) -> dict[str, Any]:
        """Return the one line about a refusal that nobody else met."""
        (line,) = self.lines(who, reason)
        assert line["peer"].startswith(("ipv4:127.0.0.1", "ipv6:"))
        self.refusals[who, reason] += 1
        return line

    def _refused(self, who: str, reason: str) -> list[dict[str, Any]]:
        return [
            line
            for line in self.audit()
            if (line["decision"], line["who"], line["reason"]) == ("refused", who, reason)
        ]

    def events(self, kind: str) -> list[dict[str, Any]]:
        text = (self._workspace / "run_1" / "events.jsonl").read_text()
        whole = text[: text.rfind("\n") + 1].splitlines()  # a line may be under way
        return [event["data"] for event in map(json.loads, whole) if event["kind"] == kind]

    def events_in_time(self, kind: str, count: int) -> list[dict[str, Any]]:
        """Wait until so many events are told: the projection is a little behind the journal."""
        until(lambda: len(self.events(kind)) >= count, f"{count} {kind}", timeout=AUDIT_SECONDS)
        return self.events(kind)

    def accepted(self) -> list[tuple[int, str]]:
        return [(e["round"], e["client"]) for e in self.events("update_accepted")]

    def state(self) -> tuple[Any, ...]:
        """Return what no attack may change: round, accepted set, the models' bytes."""
        models = self._workspace / "run_1" / "models"
        kept = sorted((p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in models.iterdir())
        return self.accepted(), len(self.events("round_finished")), kept

    def check_refusals(self) -> None:
        """Check that every refusal is in the log: a line, or counted in one of its minute."""
        written: Counter[tuple[str, str]] = Counter()
        for line in read_audit(self._workspace / "audit.jsonl"):
            if line["decision"] == "refused":
                assert line["peer"].startswith(("ipv4:127.0.0.1", "ipv6:")), line
                assert line["action"] in {*ROLE_OF_METHOD, *HEALTH_METHODS}, line
                assert line["data"]["message"].isprintable(), line
                written[line["who"], line["reason"]] += line["data"].get("repeated", 1)
        for kind, expected in self.refusals.items():
            assert expected <= written[kind] <= expected + self.lost, (kind, expected, written)
        unasked = {kind for kind in written if kind not in self.refusals} - self.uncounted
        assert not unasked, f"nobody attacked like that: {unasked}"
        for who in ("client site-1", "client site-2"):
            mine = {reason for name, reason in written if name == who}
            assert mine <= {reason for name, reason in self.refusals if name == who}

    def check_secrets(self, secrets: set[str], said: str) -> None:
        """Check that neither what it said nor what it kept holds a secret or a traceback."""
        for frames in ("traceback (most", '"traceback":'):  # in text, and in lines of JSON
            assert frames not in said.lower(), said[-4000:]
        assert "PRIVATE KEY" not in said
        kept = b"".join(
            path.read_bytes()
            for path in self._workspace.rglob("*")
            if path.is_file() and path.suffix != ".safetensors"
        )
        assert b"PRIVATE KEY" not in kept
        for secret in secrets:
            assert secret not in said
            assert secret.encode() not in kept
