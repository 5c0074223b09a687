# SPDX-License-Identifier: Apache-2.0
"""The limit of open files of this process: raised to what a run needs, or refused by name."""

from __future__ import annotations

import resource
from typing import Final

from mmar_runner.errors import UsageError

#: File descriptors besides a client's connection and the update of one who works in a round.
_FILES_BESIDES: Final = 512
#: Connections of strangers, who hold them until the handshake's time is over.
_STRANGERS: Final = 4096


def raise_file_limit(
    max_num_clients: int, workers: int | None = None, *, said: str = "max_num_clients"
) -> int:
    """Allow so many connections and files, or say how many there may be.

    Args:
        max_num_clients: Each holds a connection.
        workers: Clients that work in a round, each of which may have an update open; None
            for all of them.
        said: What the number is called.

    Returns:
        How many connections there may be at once: what remains of the files is the run's.

    Raises:
        UsageError: FILE_LIMIT.
    """
    most_workers = min(max_num_clients, max_num_clients if workers is None else workers)
    needed = max_num_clients + most_workers + _FILES_BESIDES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    bounded = hard != resource.RLIM_INFINITY
    if bounded and needed > hard:
        left = max(hard - _FILES_BESIDES, 0)
        most = left // 2 if most_workers == max_num_clients else max(left - most_workers, 0)
        msg = f"{said} is {max_num_clients}, but the limit of open files is {hard}"
        hint = f"set {said} to at most {most}, or raise the limit (ulimit -Hn)"
        raise UsageError(msg, hint=hint, reason="FILE_LIMIT")
    wanted = min(needed + _STRANGERS, hard) if bounded else needed + _STRANGERS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted - needed + max_num_clients
