# SPDX-License-Identifier: Apache-2.0
"""Who is let in, who is not, and when a client is taken for dead."""

import pytest

from mmar_runner.errors import RefusedError
from mmar_runner.federation.sites import Sites
from mmar_runner.server.members import registry as registry_module
from mmar_runner.server.members.registry import (
    COMINGS_AT_ONCE,
    COMINGS_PER_SECOND,
    Client,
    ClientRegistry,
)

KEY, OTHER_KEY = b"k" * 32, b"o" * 32


def registry(*, max_clients: int = 3) -> ClientRegistry:
    return ClientRegistry(max_clients=max_clients, lease_seconds=30)


def reason_of(call: object, *args: object, **kwargs: object) -> str:
    with pytest.raises(RefusedError) as caught:
        call(*args, **kwargs)  # type: ignore[operator]
    return caught.value.reason


def test_a_token_names_its_client_and_renews_the_lease() -> None:
    clients = registry()
    client, joined = clients.register("site-1", KEY, mmar_digest="", now=0)
    assert joined
    assert clients.session("site-1", client.key_sha256, now=20).name == "site-1"
    assert clients.expired(now=49) == []
    assert [c.name for c in clients.expired(now=51)] == ["site-1"]


def test_the_same_key_comes_back_to_its_session() -> None:
    clients = registry()
    first, _ = clients.register("site-1", KEY, mmar_digest="", now=0)
    second, joined = clients.register("site-1", KEY, mmar_digest="", now=1)
    assert not joined
    assert first.key_sha256 == second.key_sha256
    assert clients.session("site-1", second.key_sha256, now=2) is second


def test_the_session_of_another_key_is_over() -> None:
    clients = registry()
    first, _ = clients.register("site-1", KEY, mmar_digest="", now=0)
    clients.remove("site-1", now=0.0)
    clients.register("site-1", OTHER_KEY, mmar_digest="", now=1)
    over = reason_of(clients.session, "site-1", first.key_sha256, now=2)
    assert over == "TOKEN_INVALID"


def test_another_key_is_refused_while_the_session_is_there_and_accepted_afterwards() -> None:
    clients = registry()
    clients.register("site-1", KEY, mmar_digest="", now=0)
    taken = reason_of(clients.register, "site-1", OTHER_KEY, mmar_digest="", now=1)
    assert taken == "NAME_TAKEN"
    clients.remove("site-1", now=0.0)
    _, joined = clients.register("site-1", OTHER_KEY, mmar_digest="", now=2)
    assert joined


def test_a_full_federation_refuses_newcomers_but_not_those_who_are_in() -> None:
    clients = registry(max_clients=1)
    clients.register("site-1", KEY, mmar_digest="", now=0)
    full = reason_of(clients.register, "site-2", OTHER_KEY, mmar_digest="", now=0)
    assert full == "TOO_MANY_CLIENTS"
    clients.register("site-1", KEY, mmar_digest="", now=0)
    clients.remove("site-1", now=0.0)
    clients.register("site-2", OTHER_KEY, mmar_digest="", now=0)
    assert clients.present() == ["site-2"]


@pytest.mark.parametrize(
    "name", ["", "../x", "a/b", "site 1", "site-1 ", ".hidden", "x" * 65, "sité", "a\nb", "-x"]
)
def test_names_that_are_no_file_names_are_refused(name: str) -> None:
    assert reason_of(registry().register, name, KEY, mmar_digest="", now=0) == "NAME_INVALID"


@pytest.mark.parametrize("name", ["FL_global_model", "best_FL_global_model"])
def test_no_client_takes_the_place_of_the_servers_models(name: str) -> None:
    assert reason_of(registry().register, name, KEY, mmar_digest="", now=0) == "NAME_INVALID"


def test_a_short_session_key_is_refused() -> None:
    assert reason_of(registry().register, "site-1", b"short", mmar_digest="", now=0) == "PROTOCOL"


def test_an_unknown_session_is_refused() -> None:
    assert reason_of(registry().session, "site-1", "0" * 64, now=0) == "TOKEN_INVALID"


def test_the_instances_of_one_certificate_are_known() -> None:
    clients = registry()
    clients.register("site-1_1", KEY, mmar_digest="", fingerprint="aa", now=0)
    clients.register("site-1_2", KEY, mmar_digest="", fingerprint="aa", now=0)
    clients.register("site-2", KEY, mmar_digest="", fingerprint="bb", now=0)
    clients.remove("site-1_1", now=0.0)
    assert clients.instances("aa") == ["site-1_2"]


def come_and_go(clients: ClientRegistry, now: float, fingerprint: str = "aa") -> None:
    clients.register("site-1", KEY, mmar_digest="", fingerprint=fingerprint, now=now)
    clients.remove("site-1", now=0.0)


def test_clients_of_one_certificate_come_and_go_so_often_and_no_more() -> None:
    clients = registry()
    for _ in range(int(COMINGS_AT_ONCE)):
        come_and_go(clients, 5)
    assert reason_of(come_and_go, clients, 5) == "RATE_LIMITED"
    assert clients.present() == []
    come_and_go(clients, 5, "bb")
    come_and_go(clients, 5 + 1 / COMINGS_PER_SECOND)
    assert reason_of(come_and_go, clients, 5 + 1 / COMINGS_PER_SECOND) == "RATE_LIMITED"


def test_a_session_may_say_that_it_is_there_as_often_as_it_likes() -> None:
    clients = registry()
    for _ in range(int(COMINGS_AT_ONCE) * 2):
        clients.register("site-1", KEY, mmar_digest="", fingerprint="aa", now=0)


def test_a_session_may_not_say_something_else_each_time() -> None:
    clients = registry()
    for number in range(int(COMINGS_AT_ONCE)):
        clients.register("site-1", KEY, mmar_digest=str(number), fingerprint="aa", now=0)
    facts = {"mmar_digest": "another", "fingerprint": "aa", "now": 0}
    assert reason_of(clients.register, "site-1", KEY, **facts) == "RATE_LIMITED"


def test_who_has_left_is_remembered_but_not_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "MAX_DEPARTED", 2)
    clients = registry()
    for name in ("a", "b", "c"):
        clients.register(name, KEY, mmar_digest="", now=0)
        clients.remove(name, now=0.0)
    assert [clients.known(name) is not None for name in ("a", "b", "c")] == [False, True, True]
    clients.renew("c", now=9)
    assert clients.present() == []


def test_the_key_is_not_kept() -> None:
    client, _ = registry().register("site-1", KEY, mmar_digest="", now=0)
    assert KEY.decode() not in repr(client)


def test_instances_do_not_take_the_places_of_other_sites() -> None:
    names = frozenset({"evil", "site-1", "site-2"})
    clients = ClientRegistry(max_clients=4, lease_seconds=30, sites=Sites(names, names))
    facts = {"mmar_digest": "", "now": 0}
    for name in ("evil_1", "evil_2"):
        clients.register(name, KEY, **facts)
    with pytest.raises(RefusedError) as refused:
        clients.register("evil_3", KEY, **facts)
    assert refused.value.reason == "TOO_MANY_CLIENTS"
    assert "the other 2 places are kept for sites without a client" in refused.value.message
    for name in ("site-1", "site-2"):
        clients.register(name, KEY, **facts)
    assert clients.present() == ["evil_1", "evil_2", "site-1", "site-2"]


def crowd(count: int, *, heartbeats: float = 120, expected: int = 0) -> ClientRegistry:
    clients = ClientRegistry(
        max_clients=count,
        lease_seconds=30,
        longest_lease=600,
        heartbeats_per_second=heartbeats,
        expected=expected,
    )
    for number in range(count):
        clients.register(f"site-{number}", KEY, mmar_digest="", now=0)
    return clients


def test_a_lease_grows_with_thousands_of_clients_and_not_beyond_what_the_mmar_says() -> None:
    assert crowd(1000).lease_seconds == 30
    assert crowd(4000).lease_seconds == 100  # of three heartbeats each: 120 a second
    assert crowd(4000, heartbeats=30).lease_seconds == 400
    assert crowd(1, expected=4000).lease_seconds == 100
    few = ClientRegistry(max_clients=1, lease_seconds=10, longest_lease=10)
    few.register("site-1", KEY, mmar_digest="", now=0)
    assert few.lease_seconds == 10
    many = ClientRegistry(max_clients=9000, lease_seconds=30, longest_lease=40)
    many.restore([Client(f"site-{number}", "", 30.0) for number in range(9000)])
    assert many.lease_seconds == 40
    assert [c.deadline for c in many.expired(now=39)] == []  # also of those who come back


def test_a_client_keeps_the_lease_it_was_told_when_others_leave() -> None:
    clients = crowd(4000)
    client = clients.known("site-0")
    assert client is not None
    clients.session("site-0", client.key_sha256, now=1)
    for number in range(1, 4000):
        clients.remove(f"site-{number}", now=2)
    clients.renew("site-0", now=3)
    assert clients.lease_seconds == 30
    assert clients.expired(now=100) == []  # until 1 + 100
    assert len(clients.expired(now=102)) == 1


def test_without_certificates_nobody_is_an_instance_of_another() -> None:
    clients = registry()
    clients.register("site-1", KEY, mmar_digest="", now=0)
    clients.register("site-2", KEY, mmar_digest="", now=0, fingerprint="f")
    assert clients.instances("") == []
    assert clients.instances("f") == ["site-2"]
