# SPDX-License-Identifier: Apache-2.0
"""Receives updates: checks them while they stream in, and gives one receipt.

An update of a few kilobytes travels inside its first message and lives in the
journal; a larger one is spooled to a file, hashed and checked for finite values in
worker threads while the next chunks arrive. The receipt follows durability.
"""

from __future__ import annotations

import asyncio
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import DigestError, DiskFullError, ProtocolError, RefusedError
from mmar_runner.federation.sites import NO_SITES
from mmar_runner.federation.weights import sample_cap
from mmar_runner.server.calls.announcement import (
    UNUSABLE,
    UNUSABLE_REASONS,
    accepted,
    check_announcement,
    check_inline,
)
from mmar_runner.server.calls.attempts import TOO_MANY_ATTEMPTS, Attempts
from mmar_runner.server.calls.failure_logs import FailureLogs
from mmar_runner.server.calls.paced_stream import PacedStream, message_paces
from mmar_runner.server.calls.partials import check_partial, refuse_parts, require_counted_once
from mmar_runner.server.calls.streaming import ChunkReceiver
from mmar_runner.server.calls.turns import Turns
from mmar_runner.server.calls.windows import SharedWindow
from mmar_runner.server.wording import plain
from mmar_runner.storage.codec_names import NONE
from mmar_runner.storage.codecs import CODECS, PARTIAL_SUM
from mmar_runner.storage.spool_file import SpoolFile
from mmar_runner.waiting.races import unless
from mmar_runner.waiting.threads import DiskThreads
from mmar_runner.wire.limits import UPLOAD_CHUNKS, UPLOAD_WINDOW_CHUNKS
from mmar_runner.wire.messages import TaskFailure, UpdateBegin, UpdateReceipt
from mmar_runner.wire.packing import COMPRESSION
from mmar_runner.wire.update_facts import announced_facts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mmar_runner.federation.sites import Sites
    from mmar_runner.interfaces.aggregator import TensorwiseAggregator
    from mmar_runner.interfaces.update import UpdateFacts
    from mmar_runner.server.members.members import Members
    from mmar_runner.server.members.registry import Client
    from mmar_runner.server.rounds.answers import Answers
    from mmar_runner.server.rounds.exchange_desk import ExchangeDesk
    from mmar_runner.storage.codecs import Codec
    from mmar_runner.storage.model_schema import ModelSchema
    from mmar_runner.storage.spool import Spool
    from mmar_runner.wire.gate import Peer
    from mmar_runner.wire.servicer import UpdateStream

#: Uploads that may stream at once, and those of one certificate; the others wait their turn.
BULK_UPLOADS: Final = 64
BULK_UPLOADS_OF_ONE: Final = 16
#: Threads that write, hash and check.
_DISK_THREADS: Final = 4
#: Letters of a client's reason and explanation that are kept.
_MAX_REASON: Final = 64
_MAX_MESSAGE: Final = 2000


@dataclass(frozen=True, slots=True)
class _Sender:
    """Who sends, what it announced, what of that is believed, and since when."""

    session: Client
    begin: UpdateBegin
    facts: UpdateFacts
    began: float

    @property
    def client(self) -> str:
        """The client's name."""
        return self.session.name


class Reception:
    """Takes updates in for one run.

    Args:
        answers: Counts what was accepted.
        members: Knows whose token it is.
        spool: Where large updates go.
        schema: The tensors of the model.
        codec: In which updates travel: with the schema, what every one must have.
        packed: Whether clients may compress what they send.
        durable: Whether files are forced to disk before the receipt.
        run_number: The run that updates must name.
        sample_rule: What an update may claim at most (see `sample_cap`).
        sites: Of the federation.
        exchange: Knows whose updates can be used, where clients exchange something before them.
        rule: Weighs what combiners say of their sites; None where no combiner can come.
        check_sites: Holds a combiner's sum against who is assigned to it.
    """

    def __init__(
        self,
        answers: Answers,
        members: Members,
        spool: Spool,
        schema: ModelSchema,
        *,
        codec: Codec = CODECS[NONE],
        packed: bool = False,
        durable: bool,
        run_number: int,
        sample_rule: float | Mapping[str, float] | None = None,
        sites: Sites = NO_SITES,
        exchange: ExchangeDesk | None = None,
        rule: TensorwiseAggregator | None = None,
        check_sites: Callable[[str, UpdateFacts], None] = lambda _, __: None,
    ) -> None:
        self._answers = answers
        self._members = members
        self._spool = spool
        self._codec = codec
        self._packed = packed
        self._rule = rule
        self._check_sites = check_sites
        self._sums = schema.encoded(PARTIAL_SUM)
        schema = self._schema = schema.encoded(codec)
        self._durable = durable
        self._run_number = run_number
        self._sample_rule = sample_rule
        self._sites = sites
        self._exchange = exchange
        self._turns = Turns(BULK_UPLOADS, most=BULK_UPLOADS_OF_ONE)
        self._attempts = Attempts(schema.data_bytes + schema.header_limit)
        self._sum_attempts = Attempts(self._sums.data_bytes + self._sums.header_limit)
        self._window = SharedWindow(UPLOAD_CHUNKS, least=1, most=UPLOAD_WINDOW_CHUNKS)
        self._disk = DiskThreads(_DISK_THREADS, name="spool")
        self._logs = FailureLogs()
        self._receiving: dict[str, asyncio.Task[bool]] = {}
        self._paces = message_paces()

    async def submit(self, stream: UpdateStream, peer: Peer) -> None:
        """Answer one SubmitUpdate: update after update, until the client says no more.

        Raises:
            RefusedError: Why nothing was counted.
            StorageError: Why the update is not usable, or cannot be stored.
        """
        stream = PacedStream(stream, self._paces, peer)
        while (first := await stream.read()) is not None:
            match first:
                case UpdateBegin() as begin:
                    session = self._members.authenticate(begin.token, peer)
                    await self._take(session, begin, stream)
                case TaskFailure() as failure:
                    await self._note_failure(failure, peer)
                    await stream.write(UpdateReceipt(round=failure.round))
                case _:
                    msg = "an update begins with Begin or TaskFailure"
                    raise ProtocolError(msg)

    async def close(self) -> None:
        """Wait for the disk."""
        await self._disk.close()

    async def _note_failure(self, failure: TaskFailure, peer: Peer) -> None:
        client = self._members.authenticate(failure.token, peer).name
        self._check_run(failure.run_number)
        reason = plain(failure.reason, _MAX_REASON)
        message = plain(failure.message, _MAX_MESSAGE)
        log = self._logs.kept(client, failure.round, failure.log)
        await self._answers.fail(
            client, failure.round, failure.attempt, reason=reason, message=message, log=log
        )

    async def _take(self, session: Client, begin: UpdateBegin, stream: UpdateStream) -> None:
        began = asyncio.get_running_loop().time()
        self._check_run(begin.run_number)
        duplicate = self._answers.ledger.already_counted(session.name, begin.round)
        if not duplicate:
            self._check_invited(session.name, begin)
            await self._check_member(session.name, begin)
            try:
                facts = self._checked(session, begin)
                sender = _Sender(session, begin, facts, began)
                await self._answers.until_open(session.name, begin.round)
                if begin.inline:
                    duplicate = not self._accept_inline(sender)
                else:
                    duplicate = not await self._exclusively(sender, stream)
            except DiskFullError as error:
                self._answers.lack_space(error)
                raise
            except (*UNUSABLE, RefusedError) as error:
                if error.reason in UNUSABLE_REASONS or error.reason == TOO_MANY_ATTEMPTS:
                    self._answers.refuse(session.name, begin.round, begin.update_id, error)
                raise
        # The same bytes may come twice at once; no receipt precedes the record.
        await self._answers.ledger.until_recorded(session.name)
        await stream.write(UpdateReceipt(duplicate=duplicate, round=begin.round))

    def _checked(self, session: Client, begin: UpdateBegin) -> UpdateFacts:
        """Return what is said of an update, checked: a site's own, or a combiner's sum."""
        facts = announced_facts(begin)
        cap = partial(sample_cap, self._sample_rule, sites=self._sites)
        if session.combines and self._rule is not None:
            facts = check_partial(begin, facts, self._sums, cap, self._rule)
            self._require_counted_once(session, begin, facts)
            self._check_sites(session.name, facts)
            return facts
        refuse_parts(facts)
        check_announcement(begin, facts, self._schema, cap(session.name), self._codec.name)
        self._require_counted_once(session, begin, facts)
        return facts

    def _require_counted_once(
        self, session: Client, begin: UpdateBegin, facts: UpdateFacts
    ) -> None:
        """Let no site count twice in a round; without combiners, names are looked at already."""
        if self._members.tree.had_combiners or facts.parts:
            current = self._answers.round_for(session.name, begin.round)
            require_counted_once(session.name, facts.parts, current.accepted.values())

    def _attempts_of(self, session: Client) -> Attempts:
        return self._sum_attempts if session.combines else self._attempts

    def _schema_of(self, session: Client) -> ModelSchema:
        return self._sums if session.combines else self._schema

    def _check_run(self, run_number: int) -> None:
        if run_number != self._run_number:
            msg = f"this is run {self._run_number}, not run {run_number}"
            raise RefusedError(msg, reason="RUN_MISMATCH", hint="register again")

    def _check_invited(self, client: str, begin: UpdateBegin) -> None:
        """Refuse an update that is the answer to no task of its client."""
        current = self._answers.round_for(client, begin.round)
        if (refusal := current.refused.get(begin.update_id)) is not None:
            raise copy(refusal)
        if (other := current.passed.get(client)) is not None:
            msg = f"the turn of {client} in round {begin.round} has gone to {other} meanwhile"
            hint = "nothing has to be done: it has the turn again when that comes round"
            raise RefusedError(msg, reason="NOT_A_PARTICIPANT", hint=hint)
        if not self._answers.asks_everybody and client not in current.invited:
            msg = f"{client} is not asked for an update in round {begin.round}"
            raise RefusedError(msg, reason="NOT_A_PARTICIPANT", hint="wait for the next model")
        self._answers.require_base(client, begin.round, begin.base_sha256)

    async def _check_member(self, client: str, begin: UpdateBegin) -> None:
        """Refuse an update that nobody could use: its client took no part before it."""
        if self._exchange is not None:
            current = self._answers.round_for(client, begin.round)
            await self._exchange.require_member(client, current)

    # Small updates

    def _accept_inline(self, sender: _Sender) -> bool:
        begin = sender.begin
        data = check_inline(begin, self._schema_of(sender.session), packed=self._packed)
        return self._accept(sender, begin.sha256, data, wire_bytes=len(begin.inline))

    # Large updates

    async def _exclusively(self, sender: _Sender, stream: UpdateStream) -> bool:
        """Receive a large update; a newer attempt of the same client, or the round's end, ends it.

        Returns:
            False if another attempt was counted meanwhile.
        """
        current = self._answers.round_for(sender.client, sender.begin.round)
        self._attempts_of(sender.session).check(sender.client, current.number)
        # Several may have waited for the same older one: each looks again.
        while (older := self._receiving.get(sender.client)) is not None:
            older.cancel()
            await asyncio.wait({older})
        mine = self._receiving[sender.client] = asyncio.create_task(self._in_turn(sender, stream))
        mine.add_done_callback(partial(self._received, sender.client))
        # Whoever is cancelled here was given up by its client, or by the server.
        await unless(mine, self._answers.until_refused(sender.client, sender.begin.round))
        if mine.cancelled():
            # Answered, since a call that only ends in here would stay open out there.
            self._answers.round_for(sender.client, sender.begin.round)
            msg = f"a newer attempt of {sender.client} has taken over"
            raise RefusedError(msg, reason="TOO_MANY_UPLOADS")
        return mine.result()

    def _received(self, client: str, attempt: asyncio.Task[bool]) -> None:
        if self._receiving.get(client) is attempt:
            del self._receiving[client]

    async def _in_turn(self, sender: _Sender, stream: UpdateStream) -> bool:
        async with self._turns.turn(sender.session.fingerprint or sender.client):
            if self._answers.ledger.already_counted(sender.client, sender.begin.round):
                return False
            await self._answers.ledger.until_cleared(sender.client)
            self._check_invited(sender.client, sender.begin)
            await self._check_member(sender.client, sender.begin)
            return await self._spooled(sender, stream)

    async def _spooled(self, sender: _Sender, stream: UpdateStream) -> bool:
        begin = sender.begin
        current = self._answers.round_for(sender.client, begin.round)
        file = await self._disk.run(
            self._spool.open,
            begin.round,
            sender.client,
            begin.update_id,
            begin.total_bytes,
            self._schema_of(sender.session),
            undo=SpoolFile.close,
        )
        before, spoiled = file.offset, False
        try:
            receiver = ChunkReceiver(
                stream,
                file,
                self._disk,
                window=self._window,
                progress=partial(self._members.progressed, sender.client, total=begin.total_bytes),
                packed=self._packed,
            )
            digest = await receiver.receive()
            self._answers.round_for(sender.client, begin.round)
            await self._disk.run(file.commit, digest, self._durable)
        except (*UNUSABLE, DigestError):
            spoiled = True
            await self._disk.run(file.discard)
            raise
        except ProtocolError as error:
            spoiled = error.reason == COMPRESSION  # others may be a line that broke off
            raise
        finally:
            received = file.offset - before
            attempts = self._attempts_of(sender.session)
            attempts.count(sender.client, current.number, received, spoiled=spoiled)
            file.close()
        await self._answers.until_open(sender.client, begin.round)  # it may be added up just now
        counts = self._accept(sender, digest, None, wire_bytes=receiver.wire_bytes)
        if counts:
            attempts.forget(sender.client)
        return counts

    def _accept(self, sender: _Sender, digest: str, data: bytes | None, *, wire_bytes: int) -> bool:
        """Count an update; return False if another of its client and round was counted."""
        self._members.require_session(sender.session)
        if not self._answers.ledger.already_counted(sender.client, sender.begin.round):
            self._check_invited(sender.client, sender.begin)  # a turn may have passed
            self._require_counted_once(sender.session, sender.begin, sender.facts)
            self._check_sites(sender.client, sender.facts)
        seconds = asyncio.get_running_loop().time() - sender.began
        update = accepted(
            sender.client,
            sender.facts,
            digest,
            seconds_upload=seconds,
            inline=data is not None,
            wire_bytes=wire_bytes,
        )
        self._members.arrived(sender.client)
        return self._answers.accept(update, data)
