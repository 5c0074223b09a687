# SPDX-License-Identifier: Apache-2.0
"""Filters that ask their parent something, and that send whole numbers."""

import numpy as np

from mmar_runner.hooks import hookimpl
from mmar_runner.interfaces.filter import Filter


class Asks(Filter):
    """Adds the numbers that it is told in two phases; notes in its ledger what it settled."""

    topic = "numbers"

    def begin(self, context):
        first = context.exchange("one", b"1")
        self._by = int(first) + int(context.exchange("two", first))

    def apply(self, name, tensor):
        return tensor + np.asarray(self._by, tensor.dtype)

    def settle(self, context):
        (context.ledger / "settled").write_bytes(context.exchange("three", b"3"))


class Whole(Filter):
    """Sends differences in thousandths."""

    on_differences = True
    sends_as = "I32"

    def apply(self, name, tensor):
        return np.rint(tensor * 1000).astype(np.int32)


@hookimpl
def mmar_register_components(registry):
    registry.add(kind="filter", name="Asks", target=":Asks")
    registry.add(kind="filter", name="Whole", target=":Whole")
