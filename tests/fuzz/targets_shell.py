# SPDX-License-Identifier: Apache-2.0
"""Targets: commands of an administrator, and the files that they show."""

from __future__ import annotations

from typing import Final

from mmar_runner.errors import MmarRunnerError
from mmar_runner.shell.command import USAGES, shell_command
from mmar_runner.shell.limits import OUTPUT_BYTES
from tests.fuzz.target import FindingError, Target, scratch

#: What lies beside the folder, and is long enough not to be guessed.
_OUTSIDE: Final = "outside-" + "5e" * 16
_MOST_COMMANDS: Final = 20


def _shell(data: bytes) -> None:
    """Commands, a line each with NULs between words; the files hold the same bytes."""
    with scratch() as above:
        root = above / "run_1"
        (root / "logs").mkdir(parents=True)
        (above / "outside.txt").write_text(_OUTSIDE)
        (root / "out").symlink_to(above)
        (root / "a.txt").write_bytes(data)
        (root / "logs" / "a.txt").write_bytes(data.replace(b"\0", b" "))
        refusals = []
        for line in data.split(b"\n")[:_MOST_COMMANDS]:
            words = [word.decode(errors="surrogateescape") for word in line.split(b"\0")]
            try:
                _judge(shell_command(words, root, USAGES).text)
            except MmarRunnerError as error:
                _judge(f"{error.message} {error.hint}")
                refusals.append(error)
    if refusals:
        raise refusals[0]


def _judge(text: str) -> None:
    if _OUTSIDE in text:
        raise FindingError("what lies outside was shown")
    if len(text.encode()) > OUTPUT_BYTES:
        raise FindingError(f"an output of {len(text.encode())} bytes")
    if not text.replace("\n", "").replace("\t", "").isprintable():
        raise FindingError("what a terminal would obey was shown")


TARGETS: Final = (
    Target(
        "shell",
        _shell,
        "commands of administrators, and what they show",
        (
            *(f"{name}\0".encode() for name in USAGES),
            *(b"-", b"--\0", b"-n", b"-c", b"-la", b"-R\0", b"-nbsT\0", b"-i\0", b"\n", b"\0"),
            *(b"../", b"/", b"./", b"out/", b"logs/", b"a.txt", b"outside.txt", b"\\", b"\t"),
            *(b"999999999", b"\x1b[2J", b"\xe2\x80\xae", b"\xe2\x80", b"\xed\xb2\x80", b";", b"$("),
        ),
    ),
)
