# SPDX-License-Identifier: Apache-2.0
"""torchrun as a launcher: ``python -m mmar_runner_torch.launch PROCESSES FOLDER COMMAND...``.

Agent and processes find each other by files of that folder: torchrun's own store would listen on
every address of the machine, and a site opens no port.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from torch.distributed import run

#: Names to the processes the file by which their collectives meet.
MEETING: str = "MMAR_RUNNER_TORCH_MEETING"


def launch(processes: int, folder: str, command: Sequence[str]) -> None:
    """Run a command so many times by torchrun; return once all have ended well.

    Args:
        processes: How many.
        folder: Where files for this launch may be; empty.
        command: What is run.

    Raises:
        ChildFailedError: One of them failed; the others were ended.
    """
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    os.environ[MEETING] = f"{folder}/meeting"
    run.main(
        [
            "--nnodes=1",
            f"--nproc-per-node={processes}",
            "--max-restarts=0",
            "--rdzv-backend=c10d",
            "--rdzv-conf=store_type=file",
            f"--rdzv-endpoint={folder}/rendezvous",
            "--rdzv-id=mmar-runner",
            "--local-addr=127.0.0.1",
            f"--log-dir={folder}/logs",
            "--no-python",
            *command,
        ]
    )


if __name__ == "__main__":
    launch(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
