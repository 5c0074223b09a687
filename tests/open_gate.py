# SPDX-License-Identifier: Apache-2.0
"""A gate for tests of what is behind it; production code has none that is open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmar_runner.wire.gate import Gate, Peer

if TYPE_CHECKING:
    from mmar_runner.errors import MmarRunnerError
    from mmar_runner.wire.gate import Caller


class OpenGate(Gate):
    """Lets everybody in and hears of nothing that is refused."""

    def admit(self, method: str, caller: Caller) -> Peer:
        """Let a caller in."""
        return Peer(caller.address)

    def refused(self, method: str, caller: Caller, error: MmarRunnerError) -> None:
        """Do nothing."""
