# SPDX-License-Identifier: Apache-2.0
"""``python -m mmar_runner`` is the program ``mmar-runner``."""

from mmar_runner.cli.main import main

if __name__ == "__main__":
    main()
