# SPDX-License-Identifier: Apache-2.0
"""``python -m mmar_runner`` is the program ``mmar-runner``.

``-m`` puts the current folder, which may be anybody's MMAR, before what is installed. It
is taken away again before anything else is imported; ``-P`` never puts it there.
"""

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    del sys.path[0]

from mmar_runner.cli.main import main

if __name__ == "__main__":
    main()
