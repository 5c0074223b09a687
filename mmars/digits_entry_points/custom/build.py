# SPDX-License-Identifier: Apache-2.0
"""The entry point ``build OUT``: writes the initial model."""

import os
import sys

from network import initial
from safetensors.numpy import save_file

save_file(initial(int(os.environ["MMAR_RUNNER_SEED"])), sys.argv[1])
