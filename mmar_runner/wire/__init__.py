# SPDX-License-Identifier: Apache-2.0
"""The wire: messages, chunk codec, channels, servers and the translation of status.

Knows gRPC and nothing of rounds, files or clients: what a call means is decided in
``server/`` and ``client/``.
"""

import logging
import os

# gRPC's core writes its own lines to stderr, past every logger, unless it is told
# not to before it is first imported. What matters reaches the caller as an error.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")


class _Quieter(logging.Filter):
    """Makes what gRPC logs fit to be read and to be kept.

    A peer that goes away in the middle of a call is no error here, and no traceback.
    Calls are logged as objects of gRPC's own: a handler that keeps records, as pytest's
    does, would keep them longer than their server, and the interpreter crashes then.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = record.getMessage(), ()
        return not record.msg.startswith("ExecuteBatchError raised in core")


logging.getLogger("grpc._cython.cygrpc").addFilter(_Quieter())
