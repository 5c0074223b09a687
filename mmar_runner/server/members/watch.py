# SPDX-License-Identifier: Apache-2.0
"""Looks again, while calls are held, at whether their peers may still be there."""

from __future__ import annotations

import asyncio
import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import AuditError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mmar_runner.server.gate.guard import Guard
    from mmar_runner.server.members.members import Members

_log = logging.getLogger(__name__)

#: How often certificates and revocations are looked at again, in leases.
_PER_LEASE: Final = 6


class Watch:
    """Ends the calls of peers that may not be there any longer, and a run that may not go on.

    Args:
        guard: Says who may be there.
        members: Let go whose certificate is revoked.
        lease_seconds: A fraction of it is the time between two looks.
        digest: The MMAR of the run.
        end: Ends the run for a reason, for good; further calls do nothing.
    """

    def __init__(
        self,
        guard: Guard,
        members: Members,
        *,
        lease_seconds: float,
        digest: str,
        end: Callable[[str], None],
    ) -> None:
        self._guard = guard
        self._members = members
        self._digest = digest
        self._end = end
        self._pause = lease_seconds / _PER_LEASE
        self._timer: asyncio.TimerHandle | None = None
        self._noted = guard.revocations.current.version if guard.revocations is not None else 0

    def begin(self) -> None:
        """Look now and then until `close`; where nobody has a certificate, never."""
        if self._guard.revocations is not None:
            self._timer = asyncio.get_running_loop().call_later(self._pause, self._try_to_look)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _try_to_look(self) -> None:
        try:
            self._look()
        except (AuditError, StorageError) as error:  # nobody called who could be told
            _log.error("what was revoked cannot be written down: %s", error.message)

    def _look(self) -> None:
        revocations = self._guard.revocations
        if revocations is None:
            return
        try:
            revocations.refresh()
            # First of all they go; what cannot be written down must not keep them here.
            gate = self._guard.gate
            with ExitStack() as leaving:  # each of them, whatever becomes of another
                for peer, error in gate.expel(gate.verdict).items():
                    if error.reason == "CERT_REVOKED":
                        leaving.callback(self._members.expel, peer.fingerprint, error.message)
                if revocations.current.revokes_digest(self._digest):
                    # No site may run it, and no later list takes a revocation back.
                    self._end(f"the MMAR of this run was revoked (digest {self._digest})")
            self._note(revocations.current.version)
        finally:
            self.begin()

    def _note(self, version: int) -> None:
        """Write down that a newer list is in force, whoever was the first to look at it."""
        if version != self._noted:
            self._guard.audit.record("revocations", who="", decision="noted", version=version)
            self._noted = version
