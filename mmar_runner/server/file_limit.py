# SPDX-License-Identifier: Apache-2.0
"""The limit of open files of this process: raised to what a run needs, or refused by name."""

from __future__ import annotations

import resource
from typing import Final

from mmar_runner.errors import UsageError

#: File descriptors: a connection and a spool file a client, and everything else.
_FILES_PER_CLIENT: Final = 2
_FILES_BESIDES: Final = 512
#: Connections of strangers, who hold them until the handshake's time is over.
_STRANGERS: Final = 4096


def raise_file_limit(max_num_clients: int) -> int:
    """Allow so many connections and files, or say how many there may be.

    Returns:
        How many connections there may be at once: what remains of the files is the run's.

    Raises:
        UsageError: FILE_LIMIT.
    """
    needed = max_num_clients * _FILES_PER_CLIENT + _FILES_BESIDES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    bounded = hard != resource.RLIM_INFINITY
    if bounded and needed > hard:
        most = max((hard - _FILES_BESIDES) // _FILES_PER_CLIENT, 0)
        msg = f"max_num_clients is {max_num_clients}, but the limit of open files is {hard}"
        hint = f"set max_num_clients to at most {most}, or raise the limit (ulimit -Hn)"
        raise UsageError(msg, hint=hint, reason="FILE_LIMIT")
    wanted = min(needed + _STRANGERS, hard) if bounded else needed + _STRANGERS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted - needed + max_num_clients
