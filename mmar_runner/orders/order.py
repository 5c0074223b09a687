# SPDX-License-Identifier: Apache-2.0
"""A signed order: what an administrator wants done, by whom, until when, and only once.

The envelope is DSSE (see `mmar_runner.security.pki.envelope`); its payload is the schema
``admin_order``. Who signed it is told by the key alone, and what it says must agree.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.documents.strict_json import parse_checked
from mmar_runner.documents.words import printable
from mmar_runner.errors import SignatureError
from mmar_runner.security.pki.envelope import read_envelope, sign, verify

if TYPE_CHECKING:
    from mmar_runner.security.pki.envelope import PrivateKey
    from mmar_runner.security.pki.revocation import RevocationList
    from mmar_runner.security.pki.trust_root import TrustRoot

ORDER_TYPE: Final = "application/vnd.mmar-runner.order+json"
#: How long an order is good from when it is signed.
LIFE: Final = timedelta(minutes=5)
#: How long an order may be good at most: one that waits in the queue.
MOST_LIFE: Final = timedelta(days=30)
#: By how much clocks of console, server and site may differ.
SKEW: Final = timedelta(minutes=5)
#: The most bytes of a signed order; its words are short.
MAX_ORDER_BYTES: Final = 64 << 10
_LIMIT: Final = 48 << 10


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody wants done.

    Attributes:
        project: In which project.
        user: Who: an e-mail address.
        words: The command and all that follows it, whom it is addressed to included.
        id: Random; the same order is carried out once.
        issued: When it was signed, UTC.
        expires: Until when it is good, UTC.
    """

    project: str
    user: str
    words: tuple[str, ...]
    id: str
    issued: datetime
    expires: datetime

    @property
    def command(self) -> str:
        """The command's name."""
        return self.words[0]


def new_order(
    project: str,
    user: str,
    words: tuple[str, ...],
    *,
    now: datetime,
    life: timedelta = LIFE,
) -> Order:
    """Return an order as of now (with a time zone), with an id of its own."""
    issued = now.astimezone(UTC)
    return Order(project, user, words, secrets.token_hex(16), issued, issued + life)


def signed(order: Order, key: PrivateKey) -> bytes:
    """Return an order under its author's signature, as it travels."""
    value = {
        "type": "order",
        "project": order.project,
        "user": order.user,
        "words": list(order.words),
        "id": order.id,
        "issued": order.issued.isoformat(),
        "expires": order.expires.isoformat(),
    }
    return sign(ORDER_TYPE, json.dumps(value).encode(), [key]).to_json()


def opened(
    data: bytes, trust_root: TrustRoot, revocations: RevocationList, *, now: datetime
) -> Order:
    """Return an order once it is known who signed it, and that it still holds.

    Args:
        data: As it travelled.
        trust_root: Whose keys are known.
        revocations: What no longer counts.
        now: The present time, with a time zone.

    Raises:
        SignatureError: FORMAT, TYPE, SIGNER_NOT_TRUSTED, SIGNER_REVOKED, WRONG_PROJECT,
            ORDER_EXPIRED or ORDER_TOO_EARLY.
    """
    if len(data) > MAX_ORDER_BYTES:
        raise SignatureError(f"an order is larger than {MAX_ORDER_BYTES} bytes", reason="FORMAT")
    envelope = read_envelope(data)
    keys = {key.id: key for key in trust_root.release_keys}
    ids = verify(envelope, ORDER_TYPE, [key.load() for key in keys.values()])
    good = {keys[i].owner for i in ids if not revocations.revokes_key(i)}
    if not good:
        reason = "SIGNER_REVOKED" if ids else "SIGNER_NOT_TRUSTED"
        whose = "a revoked key" if ids else "no key of this project's administrators"
        hint = "take the newest kit of this administrator"
        raise SignatureError(f"{whose} signed the order", hint=hint, reason=reason)
    try:
        value = parse_checked(envelope.payload, "admin_order", limit=_LIMIT)
        order = _order(value)
    except ValueError as error:
        raise SignatureError(f"the order {error}", reason="FORMAT") from error
    _check(order, good, trust_root.project, now)
    return order


def _check(order: Order, signers: set[str], project: str, now: datetime) -> None:
    user = printable(order.user)
    if order.user not in signers:
        msg = f"the order says it is {user}'s, and is signed by {', '.join(sorted(signers))}"
        raise SignatureError(msg, reason="SIGNER_NOT_TRUSTED")
    if order.project != project:
        msg = f"the order is for the project {order.project!r}, this is {project!r}"
        raise SignatureError(msg, reason="WRONG_PROJECT")
    if not timedelta() <= order.expires - order.issued <= MOST_LIFE:
        msg = f"the order is not good for a time of at most {MOST_LIFE.days} days"
        raise SignatureError(msg, reason="FORMAT")
    clock = "compare the clocks of console, server and site"
    if now - order.expires > SKEW:
        msg = f"the order was good until {order.expires.isoformat(timespec='seconds')}"
        raise SignatureError(msg, reason="ORDER_EXPIRED", hint=f"order it again; or {clock}")
    if order.issued - now > SKEW:
        msg = (
            f"the order was signed at {order.issued.isoformat(timespec='seconds')}, later than now"
        )
        raise SignatureError(msg, reason="ORDER_TOO_EARLY", hint=clock)


def _order(value: dict[str, Any]) -> Order:
    issued, expires = (_time(value[key]) for key in ("issued", "expires"))
    return Order(
        value["project"],
        value["user"],
        tuple(value["words"]),
        value["id"],
        issued,
        expires,
    )


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("has a time without a time zone")
    return at
