# SPDX-License-Identifier: Apache-2.0
"""A filter that uses all that the runner gives it, and says it in metrics."""

from __future__ import annotations

from mmar_runner.hooks import hookimpl
from mmar_runner.interfaces.filter import Filter


@hookimpl
def mmar_register_components(registry):
    registry.add(kind="filter", name="Keeping", target=":Keeping")
    registry.add(kind="filter", name="Keeping_2", target=":Keeping")
    registry.add(kind="filter", name="Differing", target=":Differing")


class Keeping(Filter):
    """Counts acknowledged rounds in its state, and all rounds in its ledger."""

    def begin(self, context):
        kept, spent = context.state / "rounds", context.ledger / "rounds"
        self.kept = int(kept.read_text()) if kept.exists() else 0
        self.spent = (int(spent.read_text()) if spent.exists() else 0) + 1
        (context.new_state / "rounds").write_text(str(self.kept + 1))
        spent.write_text(str(self.spent))
        self.samples = context.num_samples
        self.secret = int.from_bytes(context.secret[:4])

    def apply(self, name, tensor):
        return tensor

    def finish(self):
        return {
            "kept": self.kept,
            "spent": self.spent,
            "samples": self.samples,
            "secret": self.secret,
        }


class Differing(Filter):
    on_differences = True

    def apply(self, name, tensor):
        return tensor * 2
