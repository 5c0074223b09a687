# SPDX-License-Identifier: Apache-2.0
"""What a fuzzing target is: a reader of foreign bytes, and what it may answer.

A target takes any bytes and returns. It may raise what this program raises on purpose, and
nothing else: any other exception, an answer that does not come, memory without bounds, or a
file outside the folder that it was given, is a finding.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from mmar_runner.errors import MmarRunnerError

#: Seconds of the processor that one input may take, and seconds until it is given up: a machine
#: may do other things too.
MOST_SECONDS: Final = 10.0
GIVEN_UP_SECONDS: Final = 60
#: MiB of memory that one process with one target may have.
MOST_MEMORY_MIB: Final = 2048
HERE: Final = Path(__file__).resolve().parent
SEEDS: Final = HERE / "seeds"
FINDINGS: Final = HERE / "findings"


class FindingError(AssertionError):
    """A target did what no reader of foreign bytes may do."""


@dataclass(frozen=True)
class Target:
    """One reader of foreign bytes.

    Attributes:
        name: Of the target, and of its folders of seeds and findings.
        run: Reads bytes; raises `MmarRunnerError` or returns.
        reads: What it reads, in a few words, for the report.
        tokens: Pieces that the format is made of: what mutations put in.
        longest: The most bytes that are worth trying.
    """

    name: str
    run: Callable[[bytes], None]
    reads: str
    tokens: tuple[bytes, ...] = field(default=())
    longest: int = 4096

    def __call__(self, data: bytes) -> None:
        """Run it; what is allowed to be raised is not raised further.

        Raises:
            FindingError: It took too long.
        """
        begun = time.process_time()
        try:
            self.run(data)
        except MmarRunnerError as error:
            _fit_to_be_shown(error)
        if (took := time.process_time() - begun) > MOST_SECONDS:
            raise FindingError(f"{self.name} took {took:.1f} s for {len(data)} bytes")

    def seeds(self) -> list[bytes]:
        """Return the valid files that are kept for it."""
        return [path.read_bytes() for path in sorted((SEEDS / self.name).iterdir())]

    def findings(self) -> list[Path]:
        """Return the files that once broke it."""
        folder = FINDINGS / self.name
        return sorted(folder.iterdir()) if folder.is_dir() else []


def _fit_to_be_shown(error: MmarRunnerError) -> None:
    """An error is a sentence that can be printed, and a stable id."""
    said = f"{error.message} {error.hint or ''}"
    try:
        said.encode()
    except UnicodeEncodeError as unprintable:
        raise FindingError(f"a message that no terminal can show: {said!a}") from unprintable
    if not error.reason.isupper():
        raise FindingError(f"no stable id: {error.reason!r}")


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder within another, and see that nothing was written beside it.

    Raises:
        FindingError: Something lies beside it.
    """
    memory = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
    above = memory if os.access(memory, os.W_OK) else None
    with TemporaryDirectory(prefix="fuzz-", dir=above) as outer:
        folder = Path(outer, "folder")
        folder.mkdir()
        yield folder
        if (beside := [path.name for path in Path(outer).iterdir()]) != ["folder"]:
            raise FindingError(f"a file outside its folder: {beside}")
