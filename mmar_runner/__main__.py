# SPDX-License-Identifier: Apache-2.0
"""``python -m mmar_runner`` is ``mmar-runner``: it imports nothing from the current folder."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # `python -m` puts the current folder first, which may be an MMAR or a download: a
    # json.py in there is not the one that is meant.
    _here = Path(__file__).resolve().parent.parent
    if not sys.flags.safe_path and Path(sys.path[0]).resolve() != _here:
        del sys.path[0]

    from mmar_runner.cli.main import main

    main()
