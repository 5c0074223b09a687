# SPDX-License-Identifier: Apache-2.0
"""The wire: messages, chunk codec, channels, servers and the translation of status.

Knows gRPC and nothing of rounds, files or clients: what a call means is decided in
``server/`` and ``client/``.
"""

import os

# gRPC's core writes its own lines to stderr, past every logger, unless it is told
# not to before it is first imported. What matters reaches the caller as an error.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
