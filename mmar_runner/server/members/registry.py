# SPDX-License-Identifier: Apache-2.0
"""Who is in the federation: names, session keys and leases.

Keys are kept as digests only, so that neither the journal nor a core dump holds one that
could be used.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Literal

from mmar_runner.errors import RefusedError
from mmar_runner.federation.client_status import ClientStatus
from mmar_runner.federation.cross_site import BEST_MODEL, FINAL_MODEL
from mmar_runner.federation.leases import least_lease
from mmar_runner.federation.sites import NO_SITES, Sites
from mmar_runner.server.gate.pace import Paces

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mmar_runner.federation.client_status import Progress

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}")
_MIN_KEY_BYTES: Final = 16
#: How often the clients of one certificate may come, or be others than before: a second for
#: long, and at once. Each time is a record in the journal, whose file never shrinks.
COMINGS_PER_SECOND: Final = 0.2
COMINGS_AT_ONCE: Final = 100.0
#: How many heartbeats a second a server answers at most, however many clients there are.
HEARTBEATS_PER_SECOND: Final = 120.0
#: Clients that have left of whom something is remembered.
MAX_DEPARTED: Final = 1024


@dataclass(frozen=True, slots=True)
class SiteBelow:
    """What a site below a combiner does.

    Attributes:
        path: Its name there: ``site``, or ``combiner/site``.
        state: What it last said to its combiner that it was doing.
        round: For which round; -1 for none.
    """

    path: str
    state: ClientStatus
    round: int


@dataclass(slots=True)
class Client:
    """One registered client.

    Attributes:
        name: Its name.
        key_sha256: Digest of its session key, hex.
        deadline: When its lease ends, on the server's clock.
        mmar_digest: The digest of the MMAR it runs.
        fingerprint: sha256 of the certificate it came with, hex; empty without TLS.
        host: The address it came from, without the port.
        cross_validates: Whether it takes part in cross-site validation.
        combines: Whether it is a combiner, and its updates are partial sums.
        serves_at: Where a combiner's clients call it, ``host:port``; empty if it does not say.
        below: What the sites below a combiner do, as it said last.
        state: What it last said it was doing.
        progress: How far it is with that; None if unknown.
        since: Since when it is in that state, on the server's clock.
        heard: When something was last heard of it, on the server's clock; None if nothing
            was since the server came up.
        given: The round and the attempt of the task that it was given last.
        works_on: The round that it said last that it works on; -1 for none.
        told_back: When it was told last that it is back, on the server's clock; far back if never.
    """

    name: str
    key_sha256: str
    deadline: float
    mmar_digest: str = ""
    fingerprint: str = ""
    host: str = ""
    cross_validates: bool = False
    combines: bool = False
    serves_at: str = ""
    below: tuple[SiteBelow, ...] = ()
    state: ClientStatus = ClientStatus.IDLE
    progress: Progress | None = None
    since: float = 0.0
    heard: float | None = None
    given: tuple[int, int] = (-1, 0)
    works_on: int = -1
    told_back: float = float("-inf")

    def is_as(self, other: Client) -> bool:
        """Return True if the journal would say the same of both."""
        return self._recorded == other._recorded

    @property
    def _recorded(self) -> tuple[object, ...]:
        who = (self.name, self.key_sha256, self.fingerprint, self.host)
        what = (self.mmar_digest, self.cross_validates, self.combines, self.serves_at)
        return (*who, *what)


class ClientRegistry:
    """The clients of one run.

    Args:
        max_clients: How many may be present at once.
        lease_seconds: How long a silent client is believed to be alive.
        longest_lease: How long at most where there are very many; None for no longer.
        heartbeats_per_second: Of how many heartbeats of all together a lease is longer.
        expected: How many clients are known to come: the first has the lease of all of them.
        sites: Which site a client is of; a place is kept for each that is admitted.
    """

    def __init__(
        self,
        *,
        max_clients: int,
        lease_seconds: float,
        longest_lease: float | None = None,
        heartbeats_per_second: float = HEARTBEATS_PER_SECOND,
        expected: int = 0,
        sites: Sites = NO_SITES,
    ) -> None:
        self._sites = sites
        self.max_clients = max_clients
        self._least_lease = lease_seconds
        self._longest_lease = lease_seconds if longest_lease is None else longest_lease
        self._heartbeats_per_second = heartbeats_per_second
        self._expected = expected
        self._clients: dict[str, Client] = {}
        self._departed: dict[str, Client] = {}
        self._comings = Paces(COMINGS_PER_SECOND, COMINGS_AT_ONCE)

    @property
    def lease_seconds(self) -> float:
        """How long a silent client is believed to be alive: longer where there are thousands."""
        clients = max(self._expected, len(self._clients))
        wanted = least_lease(clients, self._heartbeats_per_second)
        return min(max(self._least_lease, wanted), self._longest_lease)

    def __len__(self) -> int:
        """Return how many clients are present."""
        return len(self._clients)

    def register(
        self,
        name: str,
        session_key: bytes,
        *,
        now: float,
        mmar_digest: str,
        fingerprint: str = "",
        host: str = "",
        cross_validates: bool = False,
        combines: bool = False,
        serves_at: str = "",
    ) -> tuple[Client, bool]:
        """Let a client in, or back in.

        Returns:
            The client, and whether it was not present before.

        Raises:
            RefusedError: NAME_INVALID, NAME_TAKEN, TOO_MANY_CLIENTS or RATE_LIMITED.
        """
        require_client_name(name)
        if len(session_key) < _MIN_KEY_BYTES:
            msg = f"the session key has fewer than {_MIN_KEY_BYTES} bytes"
            raise RefusedError(msg, reason="PROTOCOL")
        key = sha256(session_key).hexdigest()
        known = self._clients.get(name)
        if known is not None and not hmac.compare_digest(known.key_sha256, key):
            msg = f"the client name {name!r} is taken by a session that is alive"
            hint = (
                "choose another --name (with a start-up kit: --instance K), or wait until that "
                "session has ended"
            )
            raise RefusedError(msg, reason="NAME_TAKEN", hint=hint)
        if known is None:
            self._check_place(name)
        lease = now + self.lease_seconds
        client = Client(
            *(name, key, lease, mmar_digest, fingerprint, host),
            cross_validates=cross_validates,
            combines=combines,
            serves_at=serves_at,
        )
        if known is None or not known.is_as(client):
            self._check_pace(client, now)
        # Also of one that was there: what another process of it did before is done by nobody.
        client.since = client.heard = now
        if known is not None:
            client.told_back = known.told_back
        self._departed.pop(name, None)
        self._clients[name] = client
        return client, known is None

    def restore(self, clients: Iterable[Client]) -> None:
        """Take in clients that an earlier server process had registered."""
        before, restored = self.lease_seconds, list(clients)
        self._clients.update({client.name: client for client in restored})
        for client in restored:  # so many come back that each has a longer lease
            client.deadline += self.lease_seconds - before

    def known(self, name: str) -> Client | None:
        """Return who had a name last, present or not; None if nobody had, or long ago."""
        return self._clients.get(name) or self._departed.get(name)

    def session(self, name: str, key_sha256: str, *, now: float) -> Client:
        """Return the client whose session it is, and renew its lease.

        Raises:
            RefusedError: TOKEN_INVALID; the client should register again.
        """
        client = self._clients.get(name)
        if client is None or client.key_sha256 != key_sha256:
            msg = "the session is not one of this run, or its lease has ended"
            raise RefusedError(msg, reason="TOKEN_INVALID", hint="register again")
        self._renew(client, now)
        return client

    def instances(self, fingerprint: str) -> list[str]:
        """Return the names of the present clients of one certificate, sorted; none without one."""
        if not fingerprint:
            return []
        return sorted(c.name for c in self._clients.values() if c.fingerprint == fingerprint)

    def renew(self, name: str, *, now: float) -> None:
        """Renew the lease of a client; one that has left meanwhile stays away."""
        if (client := self._clients.get(name)) is not None:
            self._renew(client, now)

    def progress(self, name: str, done: int, total: int, unit: Literal["bytes", "steps"]) -> None:
        """Note how far a client is; of one that has left meanwhile nothing is noted."""
        if (client := self._clients.get(name)) is not None:
            client.progress = {"done": done, "total": total, "unit": unit}

    def give(self, name: str, task: tuple[int, int]) -> None:
        """Note the round and the attempt of a task that a client has, or had last."""
        if (client := self._clients.get(name)) is not None:
            client.given = task

    def forget_progress(self, name: str) -> None:
        """Note that a client has done what it was doing."""
        if (client := self._clients.get(name)) is not None:
            client.progress = None

    def remove(self, name: str, *, now: float) -> None:
        """Let a client go; its name is free for another session key."""
        client = self._departed[name] = self._clients.pop(name)
        client.state, client.since, client.progress = ClientStatus.LEFT, now, None
        if len(self._departed) > MAX_DEPARTED:
            del self._departed[next(iter(self._departed))]

    def expired(self, now: float) -> list[Client]:
        """Return the present clients whose lease has ended."""
        return [c for c in self._clients.values() if c.deadline < now]

    def present(self) -> list[str]:
        """Return the names of the present clients, sorted."""
        return sorted(self._clients)

    def departed(self) -> list[Client]:
        """Return who was there and has left; of many, those who left last."""
        return list(self._departed.values())

    def _renew(self, client: Client, now: float) -> None:
        # It beats by the lease that it was told, also when others have left since: the shorter
        # one counts from the next heartbeat on.
        client.deadline = max(client.deadline, now + self.lease_seconds)
        client.heard = now

    def _check_place(self, name: str) -> None:
        if self._sites.has_place(name, self._clients, self.max_clients):
            return
        kept = self.max_clients - len(self._clients)
        why = f"; the other {kept} places are kept for sites without a client" if kept > 0 else ""
        msg = f"the federation is full: max_num_clients is {self.max_clients}{why}"
        hint = "raise max_num_clients on the server, or join when a client has left"
        raise RefusedError(msg, reason="TOO_MANY_CLIENTS", hint=hint)

    def _check_pace(self, client: Client, now: float) -> None:
        # Without certificates nobody can tell whose clients they are: loopback only.
        if client.fingerprint and not self._comings.take(client.fingerprint, now):
            msg = f"clients with the certificate of {client.name} come and go too often"
            raise RefusedError(msg, reason="RATE_LIMITED", hint="try again a little later")


def is_client_name(name: str) -> bool:
    """Whether a name could be a client's."""
    return _NAME.fullmatch(name) is not None


def require_client_name(name: str) -> None:
    """Refuse what can be no client's name.

    Raises:
        RefusedError: NAME_INVALID.
    """
    if not is_client_name(name):
        msg = "a client name has 1 to 64 letters, digits, '_', '-' or '.', a letter or digit first"
        raise RefusedError(msg, reason="NAME_INVALID", hint="choose another --name")
    if name in {FINAL_MODEL, BEST_MODEL}:
        msg = f"{name} is what the server's own model is called in cross-site validation"
        raise RefusedError(msg, reason="NAME_INVALID", hint="choose another --name")
