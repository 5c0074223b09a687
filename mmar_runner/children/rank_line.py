# SPDX-License-Identifier: Apache-2.0
"""The line to one of a trainer's processes, and the lifeline that ends it."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.children.answers import Ask, no_answer, read_answer
from mmar_runner.children.messages import LINE_LIMIT, decode, encode
from mmar_runner.children.rank_log import RankLog
from mmar_runner.errors import ChildDiedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mmar_runner.children.answers import Reply, Step

_READ_BYTES: Final = 1 << 16
#: How long a process that has connected may take to say who it is, in seconds.
_HELLO_SECONDS: Final = 30.0


class RankLine:
    """One process that has reported for work.

    Args:
        line: Its socket.
        processes: How many there are to be.

    Attributes:
        rank: Which one it is, from 0.

    Raises:
        ChildDiedError: It does not say which.
        OSError: It is gone.
    """

    def __init__(self, line: socket.socket, processes: int) -> None:
        self._line = line
        self._rest = bytearray()
        line.settimeout(_HELLO_SECONDS)
        said = decode(_first_line(line))
        line.settimeout(None)
        rank = said.get("rank")
        if not (isinstance(rank, int) and 0 <= rank < processes):
            msg = f"a process of the trainer is of rank {rank!a}, of {processes} processes"
            raise ChildDiedError(msg)
        self.rank = rank
        self._lifeline, its_lifeline = socket.socketpair()
        self.log = RankLog(self.rank)
        with its_lifeline, open(self.log.end, "wb"):  # noqa: PTH123 - closed here, once sent
            socket.send_fds(line, [b"\n"], [its_lifeline.fileno(), self.log.end])

    def fileno(self) -> int:
        """Return the descriptor that can be waited for."""
        return self._line.fileno()

    def send(self, request: Mapping[str, Any]) -> None:
        """Ask it.

        Raises:
            OSError: It is gone.
        """
        self._line.sendall(encode(request))

    def heard(self) -> Iterator[Step | Reply]:
        """Give what it has said since, once there is something to read.

        Raises:
            ChildDiedError: It has ended, or says what is no answer.
        """
        try:
            data = self._line.recv(_READ_BYTES)
        except OSError:
            data = b""
        if not data:
            msg = "it ended before it answered; its last lines, or those of its launcher, say how"
            raise ChildDiedError(msg, own_words=True)
        self._rest += data
        while (end := self._rest.find(b"\n")) >= 0:
            line = bytes(self._rest[: end + 1])
            del self._rest[: end + 1]
            answer = read_answer(line)
            if isinstance(answer, Ask):  # nobody here has anything to tell
                raise no_answer(line)
            yield answer
        if len(self._rest) > LINE_LIMIT:
            raise ChildDiedError(f"it wrote more than {LINE_LIMIT} bytes at once")

    def end(self) -> None:
        """End it, with all that it started; the kernel does, whatever it is at."""
        self._lifeline.close()
        with suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)
        self._line.close()


def _first_line(line: socket.socket) -> bytes:
    """Read up to the first end of a line, byte by byte: what follows is not for here."""
    data = bytearray()
    while not data.endswith(b"\n") and len(data) < _READ_BYTES:
        if not (one := line.recv(1)):
            break
        data += one
    return bytes(data)
