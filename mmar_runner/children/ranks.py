# SPDX-License-Identifier: Apache-2.0
"""The processes of a trainer that works in several: started together, asked together, ended.

A launcher starts them. They report over a socket in the run's trainer folder, each in a session of
its own, and are tied to this process as it is tied to its parent: whoever ends it ends them all.
Nothing listens on the network.
"""

from __future__ import annotations

import selectors
import shutil
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.children.answers import no_answer
from mmar_runner.children.rank_answers import RankAnswers
from mmar_runner.children.rank_line import RankLine
from mmar_runner.errors import ChildDiedError, TaskFailedError
from mmar_runner.interfaces.client_trainer import tell_nobody

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mmar_runner.children.answers import Reply, Step
    from mmar_runner.children.spec import ChildSpec
    from mmar_runner.errors import TaskError
    from mmar_runner.interfaces.client_trainer import Progress

#: In the trainer's folder, where its processes work; removed when they are gone.
FOLDER: Final = Path(".processes")
#: How long the launcher may take to end, and to say why, once its processes have.
_END_SECONDS: Final = 2.0


class Ranks:
    """The living processes of one trainer. Used from one thread.

    Args:
        spec: What each of them is to be; it names the launcher.

    Raises:
        TaskFailedError: The trainer could not be built or set up in one of them; CHILD_DIED, or
            one ended first. None is left.
        OSError: The folder cannot be used.
    """

    def __init__(self, spec: ChildSpec) -> None:
        self._processes = spec.context.processes
        self._lines: dict[int, RankLine] = {}
        self._selector = selectors.DefaultSelector()
        self._number = 0
        self._whole = True
        shutil.rmtree(FOLDER, ignore_errors=True)  # what a process that was killed left
        FOLDER.mkdir(mode=0o700)
        ended, self._ended = socket.socketpair()
        self._selector.register(self._ended, selectors.EVENT_READ)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(FOLDER / "line"))
            listener.listen(self._processes)
            self._launcher = subprocess.Popen(_command(spec), stdin=subprocess.DEVNULL)
            threading.Thread(target=_wait, args=(self._launcher, ended), daemon=True).start()
            try:
                self._gather(listener)
                self._ask("start", self._specs(spec), tell_nobody)
            except BaseException:
                self.end()
                raise

    @property
    def alive(self) -> bool:
        """Whether all of them can be asked: none has ended, or said anything unasked."""
        return self._whole and bool(self._lines) and not self._selector.select(0)

    def ask(self, method: str, params: Mapping[str, Any], told: Progress) -> dict[str, Any]:
        """Ask all of them, and return what rank 0 answers once all have answered.

        Args:
            method: What is asked, such as ``train``.
            params: The question, the same for all.
            told: Hears of rank 0's steps.

        Raises:
            TaskFailedError: One of them raised, or ended (CHILD_DIED): none is left then, since
                the others may wait for it without end.
        """
        try:
            return self._ask(method, [params] * self._processes, told)
        except BaseException:
            self.end()
            raise

    def close(self) -> None:
        """Let the trainers close in all of them, and end them."""
        try:
            if self.alive:
                self._ask("close", [{}] * self._processes, tell_nobody)
                with suppress(subprocess.TimeoutExpired):
                    self._launcher.wait(_END_SECONDS)
        finally:
            self.end()

    def end(self) -> None:
        """End them at once, and wait until what they and the launcher printed is written."""
        lines, self._lines = self._lines, {}
        for line in lines.values():
            line.end()
        with suppress(subprocess.TimeoutExpired):
            self._launcher.wait(_END_SECONDS)  # it says how they ended
        self._launcher.kill()
        self._launcher.wait()
        for line in lines.values():
            line.log.join(_END_SECONDS)
        self._selector.close()
        self._ended.close()
        shutil.rmtree(FOLDER, ignore_errors=True)

    def _gather(self, listener: socket.socket) -> None:
        """Wait until every process has reported.

        Raises:
            TaskFailedError: CHILD_DIED, the launcher has ended.
        """
        self._selector.register(listener, selectors.EVENT_READ)
        while len(self._lines) < self._processes:
            ready = {key.fileobj for key, _ in self._selector.select()}
            if self._ended in ready:
                raise self._failed(None, _launcher_ended())
            line = RankLine(listener.accept()[0], self._processes)
            self._lines[line.rank] = line
        self._selector.unregister(listener)
        for line in self._lines.values():
            self._selector.register(line, selectors.EVENT_READ)

    def _specs(self, spec: ChildSpec) -> list[dict[str, Any]]:
        return [
            replace(spec, launcher="", context=replace(spec.context, rank=rank)).to_json()
            for rank in range(self._processes)
        ]

    def _ask(self, method: str, params: list[Any], told: Progress) -> dict[str, Any]:
        self._number += 1
        for line in self._lines.values():
            request = {"id": self._number, "method": method, "params": params[line.rank]}
            with suppress(OSError):  # its end is heard of below, with whatever it said before
                line.send(request)
        answers = RankAnswers(self._processes, told)
        while (answer := answers.first) is None:
            for rank, event in self._heard(answers.seconds_left):
                answers.take(rank, event)
            if answers.first is None and (failure := answers.failure) is not None:
                raise self._failed(*failure)
        self._whole = answers.whole
        return answer

    def _heard(
        self, seconds: float | None
    ) -> Iterator[tuple[int | None, Step | Reply | TaskError]]:
        """Give what was said, with the rank that said it; of the launcher's end with none."""
        for key, _ in self._selector.select(seconds):
            if key.fileobj is self._ended:
                self._selector.unregister(self._ended)
                yield None, _launcher_ended()
                continue
            line = key.fileobj
            assert isinstance(line, RankLine)  # noqa: S101 - nothing else is registered
            try:
                for event in line.heard():
                    if event.id != self._number:
                        raise no_answer(b"an answer to what was not asked")
                    yield line.rank, event
            except ChildDiedError as error:
                self._selector.unregister(line)
                yield line.rank, error

    def _failed(self, rank: int | None, error: TaskError) -> TaskFailedError:
        """Return the error for one rank's failure; its traceback is in the log, by its rank."""
        if isinstance(error, ChildDiedError):
            with suppress(subprocess.TimeoutExpired):
                self._launcher.wait(_END_SECONDS)  # it says with which code
        who = "" if rank is None else f"rank {rank} of {self._processes} processes: "
        message = f"{who}{error.message}"
        return TaskFailedError(message, hint=error.hint, reason=error.reason, details=message)


def _command(spec: ChildSpec) -> list[str]:
    python = [sys.executable, "-P", "-m"]
    return [
        *(*python, spec.launcher, str(spec.context.processes), str(FOLDER.absolute())),
        *(*python, "mmar_runner.children.rank_main", str(FOLDER / "line")),
    ]


def _wait(launcher: subprocess.Popen[bytes], ended: socket.socket) -> None:
    """Let the other end of a socket be readable once the launcher has ended."""
    with ended:
        launcher.wait()


def _launcher_ended() -> ChildDiedError:
    return ChildDiedError("what starts the trainer's processes has ended; its last lines say why")
