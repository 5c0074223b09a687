# SPDX-License-Identifier: Apache-2.0
"""The child's entry: ``python -m mmar_runner.children CONTROL_FD LIFELINE_FD``."""

import sys

from mmar_runner.children.child_main import main

main(int(sys.argv[1]), int(sys.argv[2]))
