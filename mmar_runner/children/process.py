# SPDX-License-Identifier: Apache-2.0
"""The parent's half: ask a child, and end it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from mmar_runner.children.answers import Ask, Reply, Step, no_answer, read_answer
from mmar_runner.children.log_tail import lines_since, log_end
from mmar_runner.children.messages import LINE_LIMIT, encode
from mmar_runner.children.starting import StartedProcess, start_process
from mmar_runner.children.step_watch import StepWatch
from mmar_runner.errors import (
    ChildDiedError,
    MmarRunnerError,
    TaskError,
    TaskFailedError,
    TaskStalledError,
    TaskTimeoutError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from mmar_runner.children.spec import ChildSpec
    from mmar_runner.interfaces.client_trainer import Progress

#: Answers what a child asks: takes its question and returns the answer, JSON objects both.
Asked: TypeAlias = "Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]"

_log = logging.getLogger(__name__)

#: How long a child that closed its control socket may take to end, in seconds.
END_SECONDS: Final = 2.0


class ChildProcess:
    """One child process. Used from the event loop that started it.

    Requests are answered one after the other, in the order they were made.
    """

    def __init__(self, started: StartedProcess, log: Path) -> None:
        self._process = started.process
        self._reader, self._writer = started.reader, started.writer
        self._lifeline = started.lifeline
        self._log = log
        self._replies: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._watches: dict[int, StepWatch] = {}
        self._asked: dict[int, Asked] = {}
        self._answering: dict[asyncio.Task[None], int] = {}
        self._tells_steps = False
        self._unanswered = 0
        self._next_id = 0
        self._death: ChildDiedError | None = None
        self._nonsense: ChildDiedError | None = None
        self._listener = asyncio.create_task(self._listen())
        self._reaper = asyncio.create_task(self._reap())

    @classmethod
    async def start(
        cls, spec: ChildSpec, *, log: Path, timeout: float | None = None
    ) -> ChildProcess:
        """Start a child and wait until its component is built and set up.

        Args:
            spec: What the child is.
            log: The file to which its stdout and stderr are appended.
            timeout: Seconds it may take, or None for no limit.

        Raises:
            TaskFailedError: The component could not be built or set up.
            TaskTimeoutError: That took longer than ``timeout``.
            ChildDiedError: The process could not be started, or ended.
        """
        begin = log_end(log)
        child = cls(await start_process(spec, log), log)
        try:
            await child.request("start", spec.to_json(), timeout=timeout)
        except TaskError as error:
            error.log = lines_since(log, begin)  # and what it logged before it was asked
            await child.kill()
            raise
        except BaseException:
            await child.kill()
            raise
        return child

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its process group."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """True while the process can be asked."""
        return self._death is None and self._process.returncode is None

    async def request(
        self,
        method: str,
        params: Mapping[str, Any],
        *,
        timeout: float | None = None,
        stall: float | None = None,
        told: Progress | None = None,
        asked: Asked | None = None,
    ) -> dict[str, Any]:
        """Ask the child and return its answer.

        Args:
            method: What is asked, such as ``train``.
            params: The question, a JSON object.
            timeout: Seconds until the child is given up and killed, or None.
            stall: Seconds between two steps until it is, or None. It counts from the first
                step that this child ever tells of; one that tells of none may take its time.
            told: Hears of every step.
            asked: Answers what the child asks before it can reply; None answers nothing.

        Raises:
            TaskFailedError: The component raised; ``details`` holds the traceback.
            TaskTimeoutError: No answer in time; the process group was killed.
            TaskStalledError: No step in time; the process group was killed.
            ChildDiedError: The process ended before it answered.

        Whichever is raised holds in ``log`` what the child has logged meanwhile.
        """
        if self._death is not None:
            raise self._death
        begin = log_end(self._log)
        try:
            return await self._answered(
                method, params, timeout, stall=stall, told=told, asked=asked
            )
        except TaskError as error:
            error.log = lines_since(self._log, begin)
            raise

    async def _answered(
        self,
        method: str,
        params: Mapping[str, Any],
        timeout: float | None,
        *,
        stall: float | None,
        told: Progress | None,
        asked: Asked | None,
    ) -> dict[str, Any]:
        number, reply = self._send(method, params)
        if asked is not None:
            self._asked[number] = asked
        watch = StepWatch(told, stall, lambda: _stalled(reply, method, stall, self._log))
        self._watches[number] = watch
        if self._tells_steps:
            watch.begin()
        try:
            async with asyncio.timeout(timeout):
                return await reply
        except TaskStalledError:
            await self.kill()
            raise
        except TimeoutError as error:
            await self.kill()
            message = f"{method} did not end within {timeout:g} seconds; its process was killed"
            raise TaskTimeoutError(message, hint=f"its log is {self._log}") from error
        finally:
            watch.end()
            del self._watches[number]
            if asked is not None and number in self._replies:
                # The child is still at it, and may ask once more before it says so.
                self._asked[number] = _nobody
            else:
                self._asked.pop(number, None)
            for work, of in self._answering.items():
                if of == number:  # the caller gave up waiting: so does whoever asked
                    work.cancel()

    def _send(
        self, method: str, params: Mapping[str, Any]
    ) -> tuple[int, asyncio.Future[dict[str, Any]]]:
        self._next_id += 1
        line = encode({"id": self._next_id, "method": method, "params": params})
        reply: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._replies[self._next_id] = reply
        self._unanswered += 1
        self._writer.write(line)
        return self._next_id, reply

    async def _listen(self) -> None:
        try:
            with suppress(OSError):
                while line := await self._reader.readline():
                    self._hear(line)
        except ChildDiedError as error:
            self._nonsense = error
        except ValueError:
            self._nonsense = ChildDiedError(f"the child wrote more than {LINE_LIMIT} bytes at once")
        if self._nonsense is not None:
            self._kill_group()  # its user code has written there, and may write more
        await self._ended()

    async def _reap(self) -> None:
        """See to it that the listener learns of the process's end.

        What the process forked holds its control socket open, and may outlive it.
        """
        await self._process.wait()
        self._kill_group()
        await asyncio.wait({self._listener}, timeout=END_SECONDS)
        self._reader.feed_eof()

    def _hear(self, line: bytes) -> None:
        """Take one line of the child.

        Raises:
            ChildDiedError: It is no answer to anything that was asked.
        """
        match read_answer(line):
            case Step(number, done, total):
                self._tells_steps = True
                if (watch := self._watches.get(number)) is not None:
                    watch.saw(done, total)
            case Ask(number, question) if number in self._asked:
                work = asyncio.create_task(self._tell(self._asked[number], question))
                self._answering[work] = number
                work.add_done_callback(self._answering.pop)
            case Reply() as answer if answer.id in self._replies:
                self._answer(answer)
            case _:
                raise no_answer(line)

    async def _tell(self, asked: Asked, question: Mapping[str, Any]) -> None:
        """Answer a question; whoever asks waits, so that there is always an answer."""
        told: dict[str, Any] = {"error": {"message": "nobody answers any more", "reason": "TASK"}}
        try:
            told = {"result": await asked(question)}
        except MmarRunnerError as error:
            told = {"error": {"message": error.message, "reason": error.reason, "hint": error.hint}}
        finally:
            if self._death is None:
                self._writer.write(encode({"answer": told}))

    def _answer(self, answer: Reply) -> None:
        self._unanswered -= 1
        reply = self._replies.pop(answer.id)
        if reply.done():
            self._asked.pop(answer.id, None)
        if reply.done():  # the caller gave up waiting
            return
        if answer.error is None:
            reply.set_result(answer.result)
        else:
            reply.set_exception(self._explained(answer.error))

    def _explained(self, error: TaskFailedError) -> TaskFailedError:
        """Return an error that names this child's log, and shows what is there wherever it is."""
        where = f"the traceback is in {self._log}"
        error.hint = f"{error.hint}; {where}" if error.hint else where
        if error.details:
            error.add_note(f"In the child process:\n{error.details.rstrip()}")
        return error

    async def _ended(self) -> None:
        try:
            async with asyncio.timeout(END_SECONDS):
                code = await self._process.wait()
        except TimeoutError:
            self._kill_group()
            code = await self._process.wait()
        self._kill_group()  # what it started and left behind
        self._lifeline.close()
        self._writer.close()
        why = describe_exit(code) if self._nonsense is None else self._nonsense.message
        own_words = self._nonsense is None
        self._death = ChildDiedError(why, hint=f"its log is {self._log}", own_words=own_words)
        for work in self._answering:
            work.cancel()
        for reply in self._replies.values():
            if not reply.done():
                reply.set_exception(self._death)
        self._replies.clear()

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    async def kill(self) -> None:
        """End the process group at once and wait until it is gone."""
        if self._process.returncode is None:
            self._kill_group()
        await asyncio.shield(self._listener)

    async def close(self, grace: float = 5.0) -> None:
        """Let the component close, then end the process group; never raises.

        A child that still works on a request nobody waits for any more is killed
        at once.

        Args:
            grace: Seconds the component may take to close, and the process to end.
        """
        if self._death is None and not self._unanswered:
            with suppress(TimeoutError, TaskFailedError, ChildDiedError):
                async with asyncio.timeout(grace):
                    await self.request("close", {})
                    await asyncio.shield(self._listener)
        await self.kill()


def _stalled(
    reply: asyncio.Future[dict[str, Any]], method: str, limit: float | None, log: Path
) -> None:
    if not reply.done():
        message = f"{method} made no further step for {limit:g} seconds; its process was killed"
        reply.set_exception(TaskStalledError(message, hint=f"its log is {log}"))


def describe_exit(code: int) -> str:
    """Return a sentence about how a process ended.

    Args:
        code: The exit status, or minus the signal's number.
    """
    if code >= 0:
        return f"the child process ended by itself with exit code {code}"
    number = -code
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    guess = ", perhaps because memory ran out" if number == signal.SIGKILL else ""
    return f"the child process was ended by {name}{guess}"


async def _nobody(question: Mapping[str, Any]) -> Mapping[str, Any]:
    del question
    raise TaskFailedError("nobody answers any more")
