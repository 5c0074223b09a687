# SPDX-License-Identifier: Apache-2.0
"""Over again, ever more slowly: what a client does about a failure that may pass."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final, TypeVar

from mmar_runner.client.connection.backoff import Backoff
from mmar_runner.errors import (
    AuditError,
    DiskFullError,
    MmarRunnerError,
    RefusedError,
    UnreachableError,
)
from mmar_runner.federation.client_machine import Reaction, reaction_to
from mmar_runner.interfaces.observer import Observation, Topic

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mmar_runner.client.connection.line import Line
    from mmar_runner.client.connection.outage import Outage
    from mmar_runner.client.trust import ClientTrust
    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.wire.stub import FederationStub

_T = TypeVar("_T")

#: What gRPC says where the server shows another certificate than before: a renewed one.
_ANOTHER_CERTIFICATE: Final = "CERTIFICATE_VERIFY_FAILED"


class Retries:
    """Tries again over one line.

    Args:
        line: To the server.
        outage: Knows since when nobody answers.
        trust: Where a renewed certificate is written down; None without certificates.
        observer: Sees what is tried again.

    Attributes:
        begun: Whether this client was let in: then only what cannot be the server's own passing
            trouble ends a session.
    """

    def __init__(
        self, line: Line, outage: Outage, trust: ClientTrust | None, observer: Observer
    ) -> None:
        self._line = line
        self._outage = outage
        self._trust = trust
        self._observer = observer
        self.begun = False

    async def until_it_passes(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
        """Return what an attempt returns, made over again after every failure that may pass.

        Raises:
            RefusedError: The server refused it for good.
            CertificateError: Trying again will not mend it.
            MmarRunnerError: Whatever else the attempt raised.
        """
        backoff = Backoff(random.random)
        while True:
            stub = self._line.stub
            try:
                result = await attempt()
            except UnreachableError as error:
                if self._line.stub is stub:
                    await self.look_closer(error)
            except RefusedError as error:
                if reaction_to(error.reason) is not Reaction.RETRY:
                    raise
                self._say_again(error)
            except (DiskFullError, AuditError) as error:
                if not error.may_pass:
                    raise
                self._say_again(error)
            else:
                self._outage.end()
                return result
            await self._line.pause(backoff.next_delay())

    async def follow_files(self) -> None:
        """Take up a renewed certificate, if there is one."""
        if await self._line.follow() and self._trust is not None:
            self._trust.record("Certificate", "noted", renewed=True)

    async def renew(self, error: RefusedError, stub: FederationStub) -> None:
        """Take up a renewed certificate after a refusal over a channel, or raise the refusal."""
        await self.follow_files()
        # Half of a renewal may lie there: the other half is waited for.
        if self._line.stub is stub and not self._line.is_torn:
            raise error

    async def look_closer(self, error: UnreachableError) -> None:
        """Find out why nobody answers, and tell.

        Raises:
            CertificateError: Trying again will not mend it.
        """
        await self.follow_files()
        if self._may_be_tls(error):
            trouble = await self._line.trouble()
            # Once in a run, only what cannot be the server's own passing trouble ends it.
            if trouble is not None and (trouble.ours or not (self.begun or trouble.is_passing)):
                raise trouble.error
            if trouble is not None:
                error = UnreachableError(trouble.error.message, hint=trouble.error.hint)
        self._outage.begin(error)

    def _may_be_tls(self, error: UnreachableError) -> bool:
        """Whether to look; a server that took plain text once has other troubles."""
        if self.begun and self._line.is_plain:
            return False
        return self._outage.is_due or _ANOTHER_CERTIFICATE in error.message

    def _say_again(self, error: MmarRunnerError) -> None:
        facts = {"message": f"{error.message}; trying again"}
        self._observer.observe(Observation(Topic.WAITING, facts))
