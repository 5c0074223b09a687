# SPDX-License-Identifier: Apache-2.0
"""The ordinary command line, with failpoints wrapped around its functions.

Only tests start it, by path, in place of ``-m mmar_runner``. It alone reads
``MMAR_FAULT_PLAN`` (JSON: ``deeds``, ``constants``) and ``MMAR_FAULT_LOG`` (a file that
gets a line for each passing).
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import failpoints
import moments


def run(arguments: list[str]) -> None:
    """Wrap what the plan names, then do as ``mmar-runner`` with these arguments."""
    plan = json.loads(os.environ["MMAR_FAULT_PLAN"])
    failpoints.override(plan["constants"])
    deeds = [failpoints.Deed(**deed) for deed in plan["deeds"]]
    passings = failpoints.Passings(deeds, Path(os.environ["MMAR_FAULT_LOG"]))
    side = "server" if "run-server" in arguments else "client"
    failpoints.install(moments.of_side(side), passings)

    from mmar_runner.cli.main import main  # late: constants come first

    main(arguments)


if __name__ == "__main__":
    del sys.path[0]  # this folder: as the program itself does
    run(sys.argv[1:])
