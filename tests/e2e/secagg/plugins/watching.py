# SPDX-License-Identifier: Apache-2.0
"""A plugin of the tests: secure aggregation that is watched, and killed where a test wants it.

It is loaded from here with ``--plugins-dir``, by servers and clients that are real processes.
"""

import os
import signal
from pathlib import Path

import numpy as np

from mmar_runner.hooks import hookimpl
from mmar_runner_secagg.masking import SecAggFilter
from mmar_runner_secagg.secure_sum import SecureSum


class WatchedSum(SecureSum):
    """Keeps every block that it sees, and kills its process at phases, once each.

    Args:
        folder: Where blocks are kept, and what has happened.
        deaths: ``phase round``: killed before that phase's answer is on record; ``begin round``
            once it is, before the updates are combined.
        arguments: Of the rule.
    """

    def __init__(self, folder, deaths=(), **arguments):
        super().__init__(**arguments)
        self._folder, self._deaths = Path(folder), deaths
        self._number = -1
        self._blocks = 0

    def open(self, context):
        super().open(context)
        self._number = context.round

    def answer(self, phase, payloads):
        self._die(phase)
        return super().answer(phase, payloads)

    def begin(self, context):
        self._die("begin")
        super().begin(context)

    def combine(self, name, tensors, weights):
        np.save(self._folder / f"{self._number:02d}_{self._blocks:04d}_{name}.npy", tensors)
        self._blocks += 1
        return super().combine(name, tensors, weights)

    def _die(self, point):
        mark = self._folder / f"{point} {self._number}".replace(" ", "_")
        if f"{point} {self._number}" in self._deaths and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)


class LossyMask(SecAggFilter):
    """Kills its process, or its site's session, at a step of a round.

    Args:
        lost: ``{client: [step, round]}``; steps are keys, shares, update and unmask.
        session: Whether the session is killed, once; else this process, however often.
        arguments: Of the filter.
    """

    def __init__(self, lost, session=False, **arguments):
        super().__init__(**arguments)
        self._lost, self._session = lost, session

    def begin(self, context):
        self._now = context
        exchange = context.exchange

        def watched(phase, payload):
            self._die(phase)
            return exchange(phase, payload)

        object.__setattr__(context, "exchange", watched)
        super().begin(context)

    def apply(self, name, tensor):
        self._die("update")
        return super().apply(name, tensor)

    def settle(self, context):
        self._now = context
        self._die("unmask")
        super().settle(context)

    def _die(self, step):
        mine = self._lost.get(self._now.client_name)
        if mine != [step, self._now.round]:
            return
        mark = self._now.ledger / "died"
        if not self._session:
            os.kill(os.getpid(), signal.SIGKILL)
        elif not mark.exists():
            mark.touch()
            os.kill(os.getppid(), signal.SIGKILL)
            signal.pause()


_ANY = {"type": "object", "additionalProperties": True}


@hookimpl
def mmar_register_components(registry):
    tags = {"extras": {"tags": ["masks"]}}
    registry.add(kind="filter", name="LossyMask", target=":LossyMask", args_schema=_ANY, **tags)
    tags = {"extras": {"tags": ["sums", "unmasks"]}}
    registry.add(
        kind="aggregator", name="WatchedSum", target=":WatchedSum", args_schema=_ANY, **tags
    )
