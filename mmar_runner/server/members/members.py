# SPDX-License-Identifier: Apache-2.0
"""The registry in time: leases end, and comings and goings reach the coordinator."""

from __future__ import annotations

import asyncio
import logging
from contextlib import ExitStack
from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import AuditError, RefusedError
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.server.members.attendance import Attendance
from mmar_runner.server.members.below import MOST_SITES_BELOW, sites_below, status_of
from mmar_runner.server.members.registry import Client
from mmar_runner.server.members.session_tokens import SessionTokens
from mmar_runner.server.members.tree import Tree
from mmar_runner.server.rounds.administration import unknown_client
from mmar_runner.server.wording import plain

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from mmar_runner.federation.client_status import ClientStatus
    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.security.tokens import TokenClaims, TokenMint
    from mmar_runner.server.gate.guard import Guard
    from mmar_runner.server.members.registry import ClientRegistry
    from mmar_runner.server.records.run_record import RunRecord
    from mmar_runner.server.records.run_state import RecordedClient
    from mmar_runner.server.rounds.coordinator import Coordinator
    from mmar_runner.wire.gate import Peer
    from mmar_runner.wire.messages import RegisterRequest, SiteState

_log = logging.getLogger(__name__)

#: Letters of what a client says of itself that are kept.
_MAX_DIGEST: Final = 128
_MAX_COMMENT: Final = 200
#: How often it is told at most that a client is back, in seconds: it may try to flood a log.
_SAID_AGAIN_SECONDS: Final = 1.0


class Members:
    """Who is in the run, now.

    Args:
        registry: Names, keys and leases.
        coordinator: Hears who came and who went.
        record: Remembers who is in, across restarts.
        observer: Whoever watches.
        mint: Issues tokens.
        guard: Says who may have which name, and writes down who came and went.
        task_name: The federated task that clients must name.
        run_number: The run that tokens are good for.
        epoch: What the run has done so far, likewise: see `RunState`.
        tree: Says whether combiners may come, and what is not done below one.

    Attributes:
        tree: The same.
    """

    def __init__(
        self,
        registry: ClientRegistry,
        coordinator: Coordinator,
        record: RunRecord,
        observer: Observer,
        *,
        mint: TokenMint,
        guard: Guard,
        task_name: str,
        run_number: int,
        epoch: str = "",
        tree: Tree | None = None,
    ) -> None:
        self._registry = registry
        self._tokens = SessionTokens(mint, run_number=run_number, epoch=epoch)
        self._names = guard.names
        self.tree = tree or Tree("it knows of none")
        self._gate = guard.gate
        self._attendance = Attendance(record, guard.audit)
        self._coordinator = coordinator
        self._observer = observer
        self._task_name = task_name
        self._loop = asyncio.get_running_loop()
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._progress = 0

    @property
    def token_seconds(self) -> float:
        """How long a token is good for."""
        return self._tokens.lifetime

    @property
    def lease_seconds(self) -> float:
        """How long a silent client is believed to be alive."""
        return self._registry.lease_seconds

    @property
    def max_clients(self) -> int:
        """How many clients may be there at once."""
        return self._registry.max_clients

    def instances(self, fingerprint: str) -> list[str]:
        """Return the names of the present clients of one certificate; see `ClientRegistry`."""
        return self._registry.instances(fingerprint)

    def restore(self, recorded: Iterable[RecordedClient]) -> None:
        """Take in who was there when the journal ended; their leases begin anew."""
        deadline = self._loop.time() + self.lease_seconds
        clients = [
            Client(
                *(c.name, c.key_sha256, deadline, c.mmar_digest, c.fingerprint, c.host),
                cross_validates=c.cross_validates,
                combines=c.combines,
                serves_at=c.serves_at,
            )
            for c in recorded
        ]
        self._registry.restore(clients)
        self.tree.restore(client.name for client in clients if client.combines)
        for name in filter(self.tree.takes_part, self._registry.present()):
            self._coordinator.client_joined(name)

    def register(self, request: RegisterRequest, peer: Peer) -> str:
        """Let a client in and return its token.

        Raises:
            RefusedError: TASK_MISMATCH, NAME_INVALID, NAME_MISMATCH, NAME_TAKEN,
                TOO_MANY_INSTANCES, TOO_MANY_CLIENTS, RATE_LIMITED, CLIENT_REMOVED,
                DOES_NOT_COMPOSE, NOT_BELOW_COMBINERS or ROLE.
            NotAuthorizedError: The client's site may not run this MMAR.
            AuditError: It cannot be written down; whoever was not there has not come.
        """
        self._names.check(request.client_name, peer, self._registry.instances(peer.fingerprint))
        self.tree.admit(request, peer)
        if request.task_name != self._task_name:
            named = request.task_name[:_MAX_COMMENT]
            msg = f"this server runs the task {self._task_name!r}, not {named!r}"
            hint = "servers[0].name must be the same in both federated configuration files"
            raise RefusedError(msg, reason="TASK_MISMATCH", hint=hint)
        self._require_not_removed(sha256(request.session_key).hexdigest())
        now = self._loop.time()
        before = self._registry.known(request.client_name)
        client, joined = self._registry.register(
            request.client_name,
            request.session_key,
            mmar_digest=plain(request.mmar_digest, _MAX_DIGEST),
            fingerprint=peer.fingerprint,
            host=peer.host,
            cross_validates=request.cross_validate,
            combines=request.combines,
            serves_at=request.serves_at if request.combines else "",
            now=now,
        )
        try:
            self._attendance.note_registered(client, before, peer, joined=joined)
        except AuditError:
            if joined:  # or its next attempt would find it here, and no round would know of it
                self._registry.remove(client.name, now=now)
            raise
        self.tree.came(client.name, combines=client.combines)
        if joined or before is None or not client.is_as(before):
            self._attendance.record_registered(client)
        if joined:
            self._progress += 1
            self._observe(Topic.CLIENT_JOINED, client=client.name, active=self._active())
            if self.tree.takes_part(client.name):
                self._coordinator.client_joined(client.name)
            if before is not None and client.combines:
                self.tree.returned(client.name)
        elif now - client.told_back >= _SAID_AGAIN_SECONDS:
            client.told_back = now
            self._observe(Topic.CLIENT_BACK, client=client.name, active=self._active())
        return self._tokens.issue(client)

    def authenticate(self, token: str, peer: Peer) -> Client:
        """Return whose token it is and renew the lease; the call is that client's from now on.

        Raises:
            RefusedError: TOKEN_INVALID, TOKEN_EXPIRED, TOKEN_NOT_BOUND or CLIENT_REMOVED.
        """
        client = self._client(self._tokens.read(token, peer))
        self._gate.name_caller(client.name)
        return client

    def require_session(self, client: Client) -> None:
        """Refuse whoever has left, or has made room for another session, since it came.

        Raises:
            RefusedError: TOKEN_INVALID or CLIENT_REMOVED.
        """
        self._require_not_removed(client.key_sha256)
        self._registry.session(client.name, client.key_sha256, now=self._loop.time())

    def progressed(self, name: str, done: int, total: int) -> None:
        """Bytes of a client's transfer have come or gone: it is alive, and so far."""
        self._progress += 1
        self._registry.renew(name, now=self._loop.time())
        self._registry.progress(name, done, total, "bytes")

    def given(self, name: str, task: tuple[int, int]) -> None:
        """A client has, or had last, the task of a round, in an attempt."""
        self._registry.give(name, task)

    def arrived(self, name: str) -> None:
        """What a client was fetching or sending is there."""
        self._registry.forget_progress(name)

    def heard(
        self,
        token: str,
        state: int,
        peer: Peer,
        *,
        steps: tuple[int, int] = (0, 0),
        round_number: int = -1,
        below: Iterable[SiteState] = (),
    ) -> str:
        """A client says what it is doing.

        Args:
            token: Its own.
            state: What it is doing.
            peer: Who says so.
            steps: How many steps of that are done, and of how many; both 0 if it says nothing.
            round_number: For which round; -1 for none.
            below: What the sites below it do, if it is a combiner.

        Returns:
            A token to use from now on if it is time for a new one; else nothing.

        Raises:
            RefusedError: TOKEN_INVALID, TOKEN_EXPIRED or TOKEN_NOT_BOUND.
        """
        claims = self._tokens.read(token, peer)
        client = self._client(claims)
        said = status_of(state)
        client.works_on = round_number if said.at_work else -1
        if client.combines:
            client.below = tuple(sites_below(islice(below, MOST_SITES_BELOW)))
            self.tree.changed()
        if said != client.state:
            client.state, client.since, client.progress = said, self._loop.time(), None
            self._observe(Topic.CLIENT_STATE, client=client.name, state=said.value)
        if any(steps):
            self._stepped(client, said, *steps)
        return self._tokens.renewed(claims, client)

    def quit(self, token: str, comment: str, peer: Peer) -> None:
        """A client leaves of its own accord.

        Raises:
            RefusedError: TOKEN_INVALID, TOKEN_EXPIRED or TOKEN_NOT_BOUND.
        """
        client = self.authenticate(token, peer)
        self._leave(client.name, plain(comment, _MAX_COMMENT) or "it quit")

    async def remove(self, name: str, reason: str) -> str:
        """Remove a client from the run, and what it sent for the open round with it.

        Its lease ends at once, and so do its calls; its session may not come back in this run.
        Another session may come under its name: one that was started anew, with another key.
        All of that is so before this first waits; it returns once it is on record.

        Args:
            name: Who; it may have left already.
            reason: Why, in the administrator's words.

        Returns:
            What it means for the open round, in a sentence. Of a round whose updates are being
            added up the client's update stays a part.

        Raises:
            OrderError: CLIENT_UNKNOWN or RUN_ENDED.
            StorageError: It cannot be recorded: the run is stopped.
            AuditError: It cannot be written down; the client is removed.
        """
        self._coordinator.require_run()
        client, out = self._registry.known(name), self._attendance.out()
        if client is None or name in out:
            departed = (one.name for one in self.departed())
            raise unknown_client(name, {*self.present(), *departed})
        reason = plain(reason, _MAX_COMMENT)
        if name in self._registry.present():
            self._registry.remove(name, now=self._loop.time())
        ended = self._gate.end_calls_of(name, _removed_error(name, reason))
        removal = self._coordinator.remove(name, client.key_sha256, reason, ended)
        try:
            self._attendance.note_removed(name, reason)
        finally:
            await asyncio.shield(removal.recorded)
        return removal.sentence

    def expel(self, fingerprint: str, reason: str) -> None:
        """Let every client of a certificate go, because it is no longer trusted.

        Raises:
            AuditError: It cannot be written down; all of them are gone.
        """
        with ExitStack() as leaving:
            for name in self._registry.instances(fingerprint):
                leaving.callback(self._leave, name, reason)

    def let_go(self, names: Iterable[str], why: str) -> None:
        """Let clients go, each of them, whatever becomes of another."""
        try:
            with ExitStack() as leaving:
                for name in names:
                    leaving.callback(self._leave, name, why)
        except AuditError as error:  # nobody called who could be told
            _log.error("who left cannot be written down: %s", error.message)

    def sent(self, client: str, round_number: int, count: int, wire_bytes: int) -> None:
        """Tell that a client was sent so many bytes of a model, the last of them just now.

        Args:
            client: Who.
            round_number: Whose model.
            count: Bytes of the file.
            wire_bytes: How many they were on their way.
        """
        facts = {"client": client, "round": round_number}
        self._observe(Topic.MODEL_SENT, **facts, bytes=count, wire_bytes=wire_bytes)

    def known(self, name: str) -> Client | None:
        """Return a client that is there, or was; see `ClientRegistry.known`."""
        return self._registry.known(name)

    def marks(self) -> Hashable:
        """Return what changes with every client that joins, and with every byte and step."""
        clients = filter(None, map(self._registry.known, self._registry.present()))
        steps = [(c.name, c.progress["done"]) for c in clients if c.progress is not None]
        return (self._progress, *steps)

    def departed(self) -> list[Client]:
        """Return who was there and has left; not who was removed."""
        out = self._attendance.out()
        return [client for client in self._registry.departed() if client.name not in out]

    def present(self) -> list[str]:
        """Return the names of the present clients, sorted."""
        return self._registry.present()

    def cross_validating(self) -> list[str]:
        """Return who is there and takes part in cross-site validation, sorted."""
        return [name for name in self.present() if self.cross_validates(name)]

    def cross_validates(self, name: str) -> bool:
        """Return whether a client takes part in cross-site validation."""
        known = self._registry.known(name)
        return known is not None and known.cross_validates

    def start_sweeping(self) -> None:
        """Look for ended leases, several times a lease, until `close`."""
        self._sweep_timer = self._loop.call_later(self.lease_seconds / 4, self._sweep)

    def close(self) -> None:
        """Stop looking for ended leases."""
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()

    def _sweep(self) -> None:
        why = f"nothing was heard of it for {self.lease_seconds:g} s"
        try:
            expired = self._registry.expired(self._loop.time())
            self.let_go([client.name for client in expired], why)
        finally:
            self.start_sweeping()

    def _stepped(self, client: Client, state: ClientStatus, step: int, steps: int) -> None:
        """Note how far a client is, and tell it if it is further than it was."""
        before = client.progress
        self._registry.progress(client.name, step, steps, "steps")
        if client.progress != before:
            facts = {"client": client.name, "state": state.value, "step": step, "steps": steps}
            self._observe(Topic.CLIENT_STATE, **facts)

    def _require_not_removed(self, key_sha256: str) -> None:
        removed = self._attendance.removed(key_sha256)
        if removed is not None:
            raise _removed_error(removed.client, removed.reason)

    def _client(self, claims: TokenClaims) -> Client:
        self._require_not_removed(claims.session)
        return self._registry.session(claims.client, claims.session, now=self._loop.time())

    def _leave(self, name: str, reason: str) -> None:
        self._registry.remove(name, now=self._loop.time())
        self._observe(Topic.CLIENT_LEFT, client=name, reason=reason, active=self._active())
        self._coordinator.client_left(name, reason)
        # Last: a log that cannot be written must not leave the round waiting for it.
        self._attendance.note_left(name, reason)

    def _active(self) -> int:
        return len(self._registry)

    def _observe(self, topic: Topic, **data: object) -> None:
        self._observer.observe(Observation(topic, data))


def _removed_error(name: str, reason: str) -> RefusedError:
    why = f": {reason}" if reason else ""
    msg = f"an administrator removed {name} from this run{why}"
    hint = "an administrator has to start the client again, with a new session"
    return RefusedError(msg, reason="CLIENT_REMOVED", hint=hint)
