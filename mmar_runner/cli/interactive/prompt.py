# SPDX-License-Identifier: Apache-2.0
"""Where lines come from: a terminal with history and completion, or a pipe."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Final, Protocol

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import Completer, Completion
from prompt_toolkit.history import FileHistory

from mmar_runner.console.completion import candidates, wanted
from mmar_runner.documents.words import printable
from mmar_runner.storage.atomic import translated

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable
    from pathlib import Path

    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document

    from mmar_runner.console.conversation import Conversation

#: A history that is larger begins anew, in bytes.
_HISTORY_BYTES: Final = 1 << 20
_HISTORY: Final = "console_history"


class Lines(Protocol):
    """Gives one line after the other."""

    async def next(self) -> str:
        """Return the next line.

        Raises:
            EOFError: There is none.
            KeyboardInterrupt: Ctrl-C was pressed in place of one.
        """
        ...


class TypedLines:
    """Lines that are typed at a terminal.

    Args:
        conversation: Whose commands and names Tab completes.
        state_folder: Of the kit; only its owner can read it.

    Raises:
        StorageError: The history cannot be written.
    """

    def __init__(self, conversation: Conversation, state_folder: Path) -> None:
        self._session: PromptSession[str] = PromptSession(
            history=FileHistory(str(_history_file(state_folder))),
            completer=_TabCompleter(conversation),
            complete_while_typing=False,
        )
        self._asking: PromptSession[str] = PromptSession()
        self._prompt = printable(f"{conversation.project} {conversation.user}> ")

    async def next(self) -> str:
        """Return the next line."""
        return await self._session.prompt_async(self._prompt, handle_sigint=False)

    async def ask(self, question: str) -> str:
        """Return what is typed as an answer; nothing if Ctrl-C or Ctrl-D is pressed."""
        try:
            return await self._asking.prompt_async(printable(question), handle_sigint=False)
        except (EOFError, KeyboardInterrupt):
            return ""


class PipedLines:
    """Lines of standard input, which is no terminal."""

    async def next(self) -> str:
        """Return the next line; nothing else has to be done while it is waited for."""
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            line = sys.stdin.readline()
        finally:
            signal.signal(signal.SIGINT, before)
        if not line:
            raise EOFError
        return line


class _TabCompleter(Completer):
    """Completes words by what the server offers, and asks it for names when they are needed."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation

    def get_completions(
        self,
        document: Document,
        complete_event: CompleteEvent,  # noqa: ARG002 - the interface's
    ) -> Iterable[Completion]:
        """Yield what is known by now."""
        before = document.text_before_cursor
        begun = len(before) - len(before.rstrip()) == 0 and before.split()
        start = -len(before.split()[-1]) if begun else 0
        talk = self._conversation
        for one in candidates(before, talk.specs, talk.known):
            text = f"{one.word} " if one.ends else one.word
            yield Completion(
                text, start, display=printable(one.word), display_meta=printable(one.note)
            )

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        """Yield what is known once the server was asked for names, if any are needed."""
        talk = self._conversation
        if kind := wanted(document.text_before_cursor, talk.specs):
            await talk.refresh(kind)
        for one in self.get_completions(document, complete_event):
            yield one


def _history_file(folder: Path) -> Path:
    """Return the file of lines that were typed, which only its owner can read."""
    path = folder / _HISTORY
    with translated(path):
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
            if os.fstat(descriptor).st_size > _HISTORY_BYTES:
                os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)
    return path
