# SPDX-License-Identifier: Apache-2.0
"""The child's half: read a request, let the role answer it, until told to close."""

from __future__ import annotations

import gc
import os
import resource
import socket
import sys
from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.children import child_log
from mmar_runner.children.building import Workshop, component_errors
from mmar_runner.children.lifeline import hold
from mmar_runner.children.parent_line import ParentLine
from mmar_runner.children.role_choice import role_of
from mmar_runner.children.spec import ChildSpec
from mmar_runner.errors import TaskFailedError
from mmar_runner.storage.memory import peak_rss_bytes

if TYPE_CHECKING:
    from mmar_runner.children.role import Role

#: Allocations between two young collections while a component's libraries are imported: they
#: leave no garbage, and with Python's default a tenth of importing torch goes into looking.
_WHILE_IMPORTING: Final = 50_000


def main(control_fd: int, lifeline_fd: int) -> None:
    """Serve requests from the control socket until ``close`` or its end.

    Args:
        control_fd: The inherited control socket.
        lifeline_fd: The inherited socket whose end is this process group's end.
    """
    hold(lifeline_fd)
    os.set_inheritable(control_fd, False)  # noqa: FBT003 - takes no keyword
    with socket.socket(fileno=control_fd) as control, control.makefile("rwb") as lines:
        parent = ParentLine(lines, control_fd)
        started = parent.next_request()
        if started is None:
            return
        spec = ChildSpec.from_json(started["params"])
        with closing(Attendant(spec, parent)) as attendant:
            _reply(parent, started, attendant.start, spec.label)
            while request := parent.next_request():
                _reply(parent, request, attendant.answer, spec.label)
                if request["method"] == "close":
                    break
    sys.stdout.flush()


class Attendant:
    """Builds the role that the specification asks for and passes requests to it.

    Args:
        spec: What this child is.
        parent: Hears of the steps of what is asked.
    """

    def __init__(self, spec: ChildSpec, parent: ParentLine) -> None:
        self._spec = spec
        self._parent = parent
        self._role: Role | None = None

    def start(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Build the component and set it up."""
        del request
        limit = self._spec.memory_limit_bytes
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        usual = gc.get_threshold()
        gc.set_threshold(_WHILE_IMPORTING)
        try:
            self._role = role_of(
                self._spec, Workshop(self._spec), self._parent.step, self._parent.ask
            )
        finally:
            gc.set_threshold(*usual)
        gc.collect()
        gc.freeze()  # what was imported stays; later collections need not look at it
        return {"pid": os.getpid()}

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one request.

        Raises:
            TaskFailedError: Nothing answers this method.
            Exception: Whatever the component raised.
        """
        method = request["method"]
        if method == "stats":
            return {"peak_rss_bytes": peak_rss_bytes()}
        if method == "close":
            self.close()
            return {}
        action = self._role.methods().get(method) if self._role is not None else None
        if action is None:
            message = f"a {self._spec.role} child answers no {method!r}"
            raise TaskFailedError(message)
        return action(request["params"])

    def close(self) -> None:
        """Let the component release what it took; once."""
        role, self._role = self._role, None
        if role is not None:
            with component_errors("close"):
                role.close()


def _reply(parent: ParentLine, request: Mapping[str, Any], answer: Any, label: str) -> None:
    method = request["method"]
    try:
        with component_errors(f"{method} of {label}" if label else method):
            parent.reply({"id": request["id"], "result": answer(request)})
    except TaskFailedError as error:
        child_log.keep(request, error)
        fields = {"message": error.message, "hint": error.hint}
        fields |= {"reason": error.reason, "details": error.details}
        parent.reply({"id": request["id"], "error": fields})
