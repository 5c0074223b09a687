# SPDX-License-Identifier: Apache-2.0
"""What a server's process uses: memory and descriptors, before and after an attack."""

from __future__ import annotations

import re
import time
from pathlib import Path

GROWTH_BYTES = 64 << 20
SETTLE_SECONDS = 15.0
#: Descriptors that may come and go by themselves.
SPARE_DESCRIPTORS = 4


class Meter:
    """Holds a process to what it uses when this is made.

    Args:
        pid: The process.
        address: Where it listens, ``host:port``.
    """

    def __init__(self, pid: int, address: str) -> None:
        self._process = Path(f"/proc/{pid}")
        self._port = f"{int(address.rpartition(':')[2]):04X}"
        self._memory = self.memory()
        self._usual = self._descriptors()

    def check(self) -> None:
        """Wait until no more descriptors are open, and check that memory did not grow."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while (now := self._descriptors()) > self._usual + SPARE_DESCRIPTORS:
            assert time.monotonic() < deadline, f"{now} descriptors: {self._open()}"
            time.sleep(0.2)
        used = self.memory()
        assert used - self._memory < GROWTH_BYTES, (used >> 20, self._memory >> 20)

    def memory(self) -> int:
        """Return how many bytes of memory are resident."""
        found = re.search(r"VmRSS:\s+(\d+) kB", (self._process / "status").read_text())
        assert found is not None
        return int(found[1]) * 1024

    def _descriptors(self) -> int:
        return len(self._open()) - self._held()

    def _held(self) -> int:
        """Count connections that this very process has not let go of."""
        tables = (Path("/proc/net/tcp").read_text(), Path("/proc/net/tcp6").read_text())
        rows = [row.split() for table in tables for row in table.splitlines()[1:]]
        return sum(row[1].endswith(f":{self._port}") and row[3] == "01" for row in rows)

    def _open(self) -> list[str]:
        return sorted(filter(None, map(_leads_to, (self._process / "fd").iterdir())))


def _leads_to(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink())
    except FileNotFoundError:  # closed since it was listed
        return ""
