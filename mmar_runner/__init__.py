# SPDX-License-Identifier: Apache-2.0
"""mmar_runner: turns a Medical Model ARchive into a running federated-learning job.

The rooms of this package are described in ``docs/architecture.md``. Nothing is
imported here, so that ``import mmar_runner`` costs nothing.
"""

__version__ = "0.1.0"
