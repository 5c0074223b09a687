# SPDX-License-Identifier: Apache-2.0
"""What fails in a dry run, as findings where that is declared."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from mmar_runner.deep.options import memory_mend
from mmar_runner.deep.places import (
    declaration,
    part_mentioned,
    part_named,
    part_placed,
    server_place,
)
from mmar_runner.errors import SyntheticDataError
from mmar_runner.interfaces.observer import Topic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mmar_runner.deep.places import Place
    from mmar_runner.interfaces.observer import Observation
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.spec import ComponentSpec, MmarSpec

_FAILED: Final = "MMAR668"
_REAL_DATA: Final = "MMAR669"
_HINT: Final = "`mmar-runner simulate` shows more of it: with -v, tracebacks and logs of children."
#: Parts of a hint that lead to files which are gone when it is read.
_GONE: Final = re.compile(
    r"(?:; )?(?:the traceback is in|its log is|it is in|see) \S*mmar-dry-run-\S*"
    r"|(?:; )?it is declared in \S+; -v shows where it raised"
)
#: What a cross-site validation says that found nothing, and does not know why.
_NO_METRICS: Final = "NO_METRICS"
#: The number that a task's sentence may begin with, which differs from client to client.
_CLIENT: Final = re.compile(r"\bsite-\d+\b")


def _nothing(*_: object) -> None:
    """Do nothing: nobody wants to know."""


class Failures:
    """Watches a simulation, and says at the end what failed in it.

    Attributes:
        sent_bytes: Of the model, as it left the server; None if it did not.
        on_failure: Called when the round cannot come about any more.

    Args:
        look: The MMAR, and where findings go.
        spec: What it says.
        memory: Address space that a client's child may take, in bytes; None for no limit.
        seen: Called with everything that is observed.
    """

    def __init__(
        self,
        look: Look,
        spec: MmarSpec,
        memory: int | None = None,
        seen: Callable[[Observation], None] = _nothing,
    ) -> None:
        self.sent_bytes: int | None = None
        self.on_failure: Callable[[], None] = _nothing
        self._look = look
        self._spec = spec
        self._memory = memory
        self._watched_by = seen
        self._seen: dict[tuple[str, str], None] = {}
        self._cross_site: dict[tuple[str, str], None] = {}
        self._components: dict[tuple[str, str, str], None] = {}
        self._lacks_data: dict[tuple[str, str], None] = {}

    def observe(self, observation: Observation) -> None:
        """See what the server observes."""
        self._watched_by(observation)
        data = observation.data
        said = str(data.get("message") or data.get("reason") or ""), str(data.get("hint") or "")
        match observation.topic:
            case Topic.MODEL_SENT if data.get("round") is not None and self.sent_bytes is None:
                self.sent_bytes = int(data["bytes"])
            case Topic.TASK_FAILED if data.get("reason") == SyntheticDataError.default_reason:
                self._lacks_data[said] = None
                self.on_failure()
            case Topic.TASK_FAILED | Topic.UPDATE_REFUSED:
                self._seen[said] = None
                self.on_failure()
            case Topic.COMPONENT_FAILED:
                self._components[(str(data.get("component")), *said)] = None
            case Topic.CROSS_SITE_MODEL | Topic.CROSS_SITE_RESULT if data.get("reason"):
                self._cross_site[said] = None

    def note(self, message: str) -> None:
        """Take note of what failed, and end the round."""
        self._seen[(message, "")] = None
        self.on_failure()

    def ended(self, reason: str, hint: str | None, cause: str) -> None:
        """Say why there was no round; of what failed before, that is the reason.

        Args:
            reason: How the run ended, or why it did not begin.
            hint: A mend, or None.
            cause: The reason's stable id, or empty.
        """
        if cause == SyntheticDataError.default_reason:
            self._lacks_data[(reason, hint or "")] = None
        if self._lacks_data:
            for message, mend in self._lacks_data:
                self._say(_REAL_DATA, message, mend)
            return
        if not self._seen and not self._components and not self._cross_site:
            self._seen[(reason, hint or "")] = None
        self.report()

    def report(self) -> None:
        """Say what failed; that there are no metrics only where nothing says why."""
        caused = [one for one in self._cross_site if not one[0].startswith(_NO_METRICS)]
        others = bool(self._seen or self._components)
        cross_site = caused or ([] if others else self._cross_site)
        for message, hint in (*self._seen, *cross_site):
            self._say(_FAILED, message, hint)
        for component, message, hint in self._components:
            said = message if component in message else f"{component}: {message}"
            self._say(_FAILED, said, hint, name=component)

    def _say(self, code: str, message: str, hint: str, *, name: str = "") -> None:
        """Add a finding at the declaration that a sentence names, or at the trainer's."""
        place = part_placed(self._look, message) or self._named(f"{message} {hint} {name}")
        place = place or part_named(self._look, message)
        if place is None or place == self._trainer():  # whose part says more than it does
            place = part_mentioned(self._look, message) or place
        place = place or self._trainer() or server_place(self._look, ())
        if place is None:
            return
        told = _CLIENT.sub("a client", _GONE.sub("", message)).strip("; ")
        mend = memory_mend(message, self._memory) or _GONE.sub("", hint).strip("; ") or _HINT
        sentence = told if told.endswith(".") else f"{told}."
        what = "A dry run needs real data" if code == _REAL_DATA else "The dry run failed"
        place.find(self._look, code, f"{what}: {sentence}", mend)

    def _named(self, text: str) -> Place | None:
        """Return where the component is declared whose place, or name, stands in a text."""
        components = list(self._components_declared())
        by_place = [one for one in components if one.place in text]
        by_name = [one for one in components if re.search(rf"\b{re.escape(one.name)}\b", text)]
        for one in (*by_place, *by_name):
            return declaration(self._look, one)
        return None

    def _trainer(self) -> Place | None:
        client = self._spec.client
        return None if client is None else declaration(self._look, client.client_trainer)

    def _components_declared(self) -> Iterator[ComponentSpec]:
        parts = (self._look.server_parts, self._look.client_parts)
        for one in (resolved for part in parts for resolved in part.every()):
            if one.spec is not None:
                yield one.spec
