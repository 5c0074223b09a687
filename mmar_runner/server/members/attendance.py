# SPDX-License-Identifier: Apache-2.0
"""What is written down of who came and went: for a restart, and for whoever looks for thieves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from mmar_runner.server.records.record import Kind

if TYPE_CHECKING:
    from mmar_runner.security.audit.log import AuditLog
    from mmar_runner.server.members.registry import Client
    from mmar_runner.server.records.record import Removed
    from mmar_runner.server.records.run_record import RunRecord
    from mmar_runner.wire.gate import Peer


class Attendance:
    """The journal's and the audit log's view of the clients of one run.

    Args:
        record: Remembers who is in, across restarts.
        audit: Notes what a stolen kit would look like, among what is ordinary.
    """

    def __init__(self, record: RunRecord, audit: AuditLog) -> None:
        self._record = record
        self._audit = audit

    def note_registered(
        self, client: Client, before: Client | None, peer: Peer, *, joined: bool
    ) -> None:
        """Note that a client came, or came again in another way than before.

        Args:
            client: As it is now.
            before: Who had its name last.
            peer: Who called.
            joined: Whether it was not there before.

        Raises:
            AuditError: It cannot be written down.
        """
        if joined:
            self._note("Register", client, peer, decision="accepted")
        if before is not None and before.key_sha256 != client.key_sha256:
            self._note("session.replaced", client, peer, before=before.host)
        elif before is not None and before.host != client.host:
            self._note("session.moved", client, peer, before=before.host)
        if before is not None and before.fingerprint != client.fingerprint:
            self._note("session.renewed", client, peer, before=before.fingerprint)

    def record_registered(self, client: Client) -> None:
        """Put on record who is in."""
        facts = {
            "client": client.name,
            "key_sha256": client.key_sha256,
            "mmar_digest": client.mmar_digest,
            "fingerprint": client.fingerprint,
            "host": client.host,
            **({"cross_validates": True} if client.cross_validates else {}),
            **({"combines": True} if client.combines else {}),
            **({"serves_at": client.serves_at} if client.serves_at else {}),
        }
        self._record.append(Kind.CLIENT_REGISTERED, facts)

    def removed(self, key_sha256: str) -> Removed | None:
        """Return how an administrator removed a client, by the digest of its session's key."""
        return self._record.state.removed.get(key_sha256)

    def out(self) -> frozenset[str]:
        """Return the names of removed clients under which nobody has come anew."""
        return self._record.state.out()

    def note_removed(self, name: str, reason: str) -> None:
        """Note that an administrator removed a client, and why.

        Raises:
            AuditError: It cannot be written down.
        """
        self._audit.record(
            "client.removed", who=name, decision="noted", client=name, message=reason
        )

    def note_left(self, name: str, reason: str) -> None:
        """Note that a client has left, and why.

        Raises:
            AuditError: It cannot be written down.
        """
        self._audit.record("leave", who=name, decision="noted", client=name, message=reason)

    def _note(
        self,
        action: str,
        client: Client,
        peer: Peer,
        decision: Literal["accepted", "noted"] = "noted",
        **data: str,
    ) -> None:
        self._audit.record(
            action,
            who=peer.who or client.name,
            peer=peer.address,
            decision=decision,
            client=client.name,
            mmar_digest=client.mmar_digest,
            **data,
        )
