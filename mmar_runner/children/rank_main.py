# SPDX-License-Identifier: Apache-2.0
"""One process of a trainer that works in several: ``python -m ...rank_main SOCKET``.

A launcher starts it, and it finds its way back to the child that asked for it: by a socket in the
folder that it works in. From there it gets what any child is given by its parent, and is a child
as any other from then on: its requests come by the same words, and it dies with whoever asks.
"""

from __future__ import annotations

import os
import socket
import sys
from typing import Final

from mmar_runner.children.child_main import main as serve
from mmar_runner.children.messages import encode

#: Standard output and standard error.
_OUTPUTS: Final = (1, 2)
#: What is handed over: the lifeline, and where to write what is to be logged.
_HANDED: Final = 2


def main(path: str) -> None:
    """Say which rank this is, and serve requests until ``close`` or the line's end.

    Args:
        path: The socket, relative to the folder of the run's trainer.
    """
    if os.getpgrp() != os.getpid():
        os.setsid()  # this process is ended with all that it started, and nobody else
    with socket.socket(socket.AF_UNIX) as line:
        try:
            line.connect(path)
            line.sendall(encode({"rank": int(os.environ["RANK"])}))
            _, handed, _, _ = socket.recv_fds(line, 1, _HANDED)
        except OSError:
            return  # whoever asked for this process is gone, or wants it no more
        if len(handed) != _HANDED:
            return
        lifeline, output = handed
        for number in _OUTPUTS:
            os.dup2(output, number)
        os.close(output)
        serve(line.detach(), lifeline)


if __name__ == "__main__":
    main(sys.argv[1])
