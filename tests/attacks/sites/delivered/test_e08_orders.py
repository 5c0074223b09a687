# SPDX-License-Identifier: Apache-2.0
"""E08: a server whose key was stolen has nothing done at a site that nobody ordered.

The site is a real process that stands; the server is played by hand, with the server's kit. Its
federation works honestly beside the attacks: what the site works for goes on.
"""

from __future__ import annotations

import asyncio
import json
import queue
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mmar_runner.orders.order import MOST_LIFE, new_order, signed
from mmar_runner.security.pki.envelope import key_id
from mmar_runner.security.pki.keys import load_private_key, load_release_key
from mmar_runner.security.pki.revocation import read_revocations, sign_revocations
from mmar_runner.wire.binding import bind
from mmar_runner.wire.credentials import server_credentials
from mmar_runner.wire.messages import AdminReplyReceipt, AdminRequest
from mmar_runner.wire.server import build_server
from mmar_runner.wire.servicer import RequestsServicer
from tests.attacks.sites.conftest import LEAD, SECOND
from tests.attacks.sites.delivered import conftest as stolen_kits
from tests.open_gate import OpenGate

ANSWER_SECONDS = 30.0
HOUR = timedelta(hours=1)


class Requests(RequestsServicer):
    """Asks what a test says, and keeps what is answered."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[AdminRequest] = asyncio.Queue()
        self.replies: queue.Queue[Any] = queue.Queue()
        self.first = AdminRequest()
        self.came: queue.Queue[str] = queue.Queue()

    async def retrieve(self, request, peer):
        # Of its own: the call of a client that was killed may be held for a moment still.
        asked = self.asked = asyncio.Queue()
        self.came.put(request.client_name)
        yield self.first
        while True:
            yield await asked.get()

    async def send_reply(self, reply, peer):
        self.replies.put(reply)
        return AdminReplyReceipt(awaited=True)


class OrderingServer(stolen_kits.CompromisedServer):
    """A compromised server that gives orders too."""

    def __init__(self, kit: Any) -> None:
        super().__init__(kit)
        self.requests = Requests()
        self._number = 0

    async def _serve(self) -> None:
        services = stolen_kits._Services(self.lies)
        server = build_server(services, OpenGate(), discovery=services, requests=self.requests)
        bound = bind(server, "127.0.0.1:0", credentials=server_credentials(self._tls))
        await server.start()
        self.address = f"localhost:{bound.rpartition(':')[2]}"
        self._ready.set()
        await self._stop.wait()
        await server.stop(0)

    @contextmanager
    def waiting(self, hospital: Any) -> Iterator[Any]:
        """Let a site stand, which waits for orders, for a block."""
        with hospital.client("site-1", self.address) as client:
            assert self.requests.came.get(timeout=ANSWER_SECONDS) == "site-1"
            yield client

    def ask(self, order: bytes, context: bytes = b'{"run_number": 1}') -> Any:
        """Hand something to the site as an order, and return what it answers."""
        self._number += 1
        request = AdminRequest(request_id=f"{self._number:032x}", order=order, context=context)
        self._loop.call_soon_threadsafe(lambda: self.requests.asked.put_nowait(request))
        reply = self.requests.replies.get(timeout=ANSWER_SECONDS)
        assert reply.request_id == request.request_id
        return reply


@pytest.fixture
def ordering(hospital: Any) -> Iterator[OrderingServer]:
    with OrderingServer(hospital.server) as server:
        yield server


class Signing:
    """Whoever signs orders, rightly or not."""

    def __init__(self, hospital: Any) -> None:
        self._hospital = hospital

    def order(self, *words: str, user: str = LEAD, key: Any = None, **facts: Any) -> bytes:
        now = facts.pop("now", datetime.now(UTC))
        order = new_order(facts.pop("project", "heart"), user, words, now=now)
        return signed(replace(order, **facts), key or self.key(user))

    def key(self, user: str) -> Any:
        return load_release_key(self._hospital.kit(user) / "release.key")


def refusals(hospital: Any, site: str = "site-1") -> list[str]:
    """Return why orders were refused, as the site wrote it down."""
    found: list[str] = []
    for line in hospital.audited(hospital.workspace(site)):
        if line["action"] == "admin.order" and line["decision"] == "refused":
            assert line["data"]["message"].isprintable(), line
            found += [line["reason"]] * line["data"].get("repeated", 1)
    return found


def value(reply: Any) -> dict[str, Any]:
    assert not reply.reason, (reply.reason, reply.message)
    return dict(json.loads(reply.reply))


def attacks(hospital: Any, others: Any, sign: Signing) -> dict[str, tuple[bytes, str]]:
    """Return what a hostile server has a site do, and why the site does not."""
    status = ("check_status", "client", "site-1")
    server_key = load_private_key(hospital.server / "server.key")
    theirs = load_release_key(others.kit(LEAD) / "release.key")
    now = datetime.now(UTC)
    return {
        "nothing": (b"", "FORMAT"),
        "words_that_nobody_signed": (b'{"words": ["shutdown", "client"]}', "FORMAT"),
        "bytes": (b"\x00\xff" * 100, "FORMAT"),
        "more_than_is_read": (b" " * (100 << 10), "FORMAT"),
        "signed_by_the_server": (sign.order(*status, key=server_key), "SIGNER_NOT_TRUSTED"),
        "signed_by_another_projects_admin": (sign.order(*status, key=theirs), "SIGNER_NOT_TRUSTED"),
        "of_another_project": (
            sign.order(*status, key=theirs, project="lung"),
            "SIGNER_NOT_TRUSTED",
        ),
        "for_another_project": (sign.order(*status, project="lung"), "WRONG_PROJECT"),
        "of_another_than_it_says": (
            sign.order(*status, key=sign.key(SECOND)),
            "SIGNER_NOT_TRUSTED",
        ),
        "for_another_site": (sign.order("shutdown", "client", "site-2"), "NOT_ADDRESSED"),
        "for_an_instance": (sign.order("shutdown", "client", "site-1_2"), "NOT_ADDRESSED"),
        "for_the_server": (sign.order("shutdown", "server"), "NOT_ADDRESSED"),
        "from_yesterday": (sign.order(*status, now=now - 24 * HOUR), "ORDER_EXPIRED"),
        "from_tomorrow": (sign.order(*status, now=now + 24 * HOUR), "ORDER_TOO_EARLY"),
        "good_for_ever": (sign.order(*status, expires=now + 2 * MOST_LIFE), "FORMAT"),
        "a_look_into_the_folder": (sign.order("cat", "site-1", "log.txt"), "SHELL_REFUSED"),
        "a_look_at_the_key": (
            sign.order("cat", "site-1", "/etc/shadow"),
            "SHELL_REFUSED",
        ),
        "no_command_of_a_client": (sign.order("set_run_number", "3"), "COMMAND_UNKNOWN"),
        "no_command": (sign.order("rm", "-rf", "/"), "COMMAND_UNKNOWN"),
        "a_shell": (sign.order("check_status; id", "client"), "COMMAND_UNKNOWN"),
        "an_escape": (sign.order("\x1b[2J\n", "client"), "COMMAND_UNKNOWN"),
        "an_escape_as_a_name": (
            sign.order("check_status", "client", "x\x1b[2J\ny"),
            "NOT_ADDRESSED",
        ),
        "the_site_without_its_rights": (
            sign.order("restart", "client", "site-1", user="third@clinic.org", key=theirs),
            "SIGNER_NOT_TRUSTED",
        ),
    }


def test_e08_a_site_that_works_refuses_all_that_nobody_ordered_and_works_on(
    hospital: Any, ordering: OrderingServer, other_project: Any
) -> None:
    sign, lies = Signing(hospital), ordering.lies
    root = hospital.mmar()
    lies.deploy(root, hospital.digest(root))
    lies.rounds = 100_000
    with ordering.waiting(hospital) as client:
        meant = f"echo@{hospital.digest(root)}"
        deployed = value(ordering.ask(sign.order("deploy", meant, "client", "site-1")))
        assert deployed["digest"] == hospital.digest(root)
        value(ordering.ask(sign.order("start", "client", "site-1")))
        until(lambda: lies.updates and lies.heartbeats)

        expected, beats, updates = [], lies.heartbeats, len(lies.updates)
        for case, (order, reason) in attacks(hospital, other_project, sign).items():
            reply = ordering.ask(order)
            assert reply.reason == reason, (case, reply.reason, reply.message)
            assert not reply.reply
            assert reply.message.isprintable(), case
            expected.append(reason)

        once = sign.order("check_status", "client", "site-1")
        assert value(ordering.ask(once))["working"]
        for _ in range(3):
            assert ordering.ask(once).reason == "ORDER_REPLAYED"
            expected.append("ORDER_REPLAYED")

        # Beside all that the site worked on, and it does what is really ordered.
        until(lambda: lies.heartbeats > beats and len(lies.updates) > updates)
        facts = value(ordering.ask(sign.order("check_status", "client")))
        assert (facts["working"], facts["mmar"]) == (True, "echo")
        until(lambda: set(refusals(hospital)) == set(expected))
        assert client.process.poll() is None
        value(ordering.ask(sign.order("abort", "client", "site-1")))
        value(ordering.ask(sign.order("shutdown", "client", "site-1")))
        assert client.wait() == 0, client.stderr
    # Every one is written down; alike ones of a minute share a line, which counts them.
    assert Counter(refusals(hospital)) == Counter(expected)


def test_e08_a_site_remembers_orders_over_its_own_death(
    hospital: Any, ordering: OrderingServer
) -> None:
    sign = Signing(hospital)
    order = sign.order("check_status", "client", "site-1")
    with ordering.waiting(hospital):
        assert not value(ordering.ask(order))["working"]
    with ordering.waiting(hospital):
        assert ordering.ask(order).reason == "ORDER_REPLAYED"
        value(ordering.ask(sign.order("check_status", "client", "site-1")))


def test_e08_a_true_order_to_deploy_gets_no_mmar_in_that_nobody_signed(
    hospital: Any, ordering: OrderingServer
) -> None:
    """The order is true, and what the hostile server gives for it is not."""
    sign, lies = Signing(hospital), ordering.lies
    unsigned = hospital.mmar("unsigned", sign=False)
    code = hospital.mmar("code", code="custom/nets.py")
    honest = hospital.mmar("honest")
    second = hospital.mmar("second")
    given = [
        ("unsigned", unsigned, {}, {"SIGNATURE_MISSING"}),
        ("code", code, {}, {"BYOC_NOT_ALLOWED"}),
        ("honest", honest, {"sha256": "0" * 64}, {"DIGEST"}),
        ("honest", honest, {"name": "../../evil"}, {"UNSAFE_PATH"}),
        ("honest", second, {}, {"MMAR_DIFFERS"}),
    ]
    with ordering.waiting(hospital) as client:
        for name, root, header, reasons in given:
            lies.deploy(root, hospital.digest(root), **header)
            meant = f"{name}@{hospital.digest(root)}"
            reply = ordering.ask(sign.order("deploy", meant, "client", "site-1"))
            assert reply.reason in reasons, (name, reply.reason, reply.message)
            assert ordering.ask(sign.order("start", "client", "site-1")).reason == "NOT_DEPLOYED"
            assert not hospital.canary.exists()
        lies.deploy(honest, hospital.digest(honest))
        # Signed by administrators who may, and not what this order means; or it does not say.
        for meant in (f"honest@{'ab' * 32}", "honest"):
            for words in (("deploy", meant), ("enqueue", meant)):
                reply = ordering.ask(sign.order(*words, "client", "site-1"))
                assert reply.reason == "MMAR_DIFFERS", reply
        meant = f"honest@{hospital.digest(honest)}"
        value(ordering.ask(sign.order("deploy", meant, "client", "site-1")))
        assert client.process.poll() is None


@pytest.mark.parametrize(
    "context",
    [
        *(b"\xff", b"[]", b"{" * 1000, b"x" * 100_000),
        *(b'{"run_number": "1"}', b'{"run_number": -1}', b'{"run_number": true}'),
        *(b'{"run_number": 1000000000}', b'{"run_number": 1%s}' % (b"0" * 400)),
    ],
)
def test_e08_what_a_server_adds_to_an_order_is_no_order(
    hospital: Any, ordering: OrderingServer, context: bytes
) -> None:
    sign, root = Signing(hospital), hospital.mmar()
    ordering.lies.deploy(root, hospital.digest(root))
    with ordering.waiting(hospital):
        meant = f"echo@{hospital.digest(root)}"
        reply = ordering.ask(sign.order("deploy", meant, "client", "site-1"), context)
        assert reply.reason == "PROTOCOL"
        value(ordering.ask(sign.order("deploy", meant, "client", "site-1")))


def test_e08_a_server_cannot_take_a_revocation_back(
    hospital: Any, ordering: OrderingServer, provisioned: Any
) -> None:
    """A list that is older, or nobody's, is not taken; whoever was revoked stays so."""
    sign = Signing(hospital)
    pem = (hospital.kit("site-1") / "rootCA.pem").read_bytes()
    own = read_revocations((hospital.kit("site-1") / "revocations.json").read_bytes(), pem)
    root = load_private_key(provisioned / "kits" / "authority" / "root.key")
    revoked = (key_id(sign.key(SECOND).public_key()),)
    newer = sign_revocations(replace(own, version=own.version + 2, key_ids=revoked), root)
    older = sign_revocations(replace(own, version=own.version + 1), root)
    server_key = load_private_key(hospital.server / "server.key")
    forged = sign_revocations(replace(own, version=own.version + 9), server_key)
    theirs = ("check_status", "client", "site-1")
    for offered in (newer, older, forged):
        ordering.requests.first = AdminRequest(revocations=offered)
        with ordering.waiting(hospital):
            reply = ordering.ask(sign.order(*theirs, user=SECOND))
            assert reply.reason == "SIGNER_REVOKED", reply
            value(ordering.ask(sign.order(*theirs)))


def until(holds: Any, *, seconds: float = ANSWER_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, holds()
        time.sleep(0.02)
