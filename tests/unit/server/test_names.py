# SPDX-License-Identifier: Apache-2.0
"""A client is who its certificate says, or a further instance of that."""

from datetime import UTC, datetime

import pytest

from mmar_runner.errors import MmarRunnerError, NotAuthorizedError
from mmar_runner.security.decision import Decision, Step
from mmar_runner.security.identity import Identity, PeerCertificate, Role
from mmar_runner.server.gate.names import MAX_INSTANCES, BelievedNames, CertifiedNames
from mmar_runner.wire.gate import Peer

NOW = datetime(2030, 1, 1, tzinfo=UTC)
YES = Decision("deploy", "site-1", (), "", ())
NO = Decision(
    "deploy", "site-3", (), "", (Step("allow_byoc", accepted=False, message="no code", reason="X"),)
)
RULE = CertifiedNames(
    ["site-1", "site-2", "site-3", "site-1_9"], {"site-1": YES, "site-2": YES, "site-3": NO}
)


def peer(name: str) -> Peer:
    certificate = PeerCertificate(Identity("demo", Role.CLIENT, name), f"fp {name}", "1", NOW, NOW)
    return Peer("ipv4:127.0.0.1:1", certificate)


def refusal(name: str, holder: Peer, present: tuple[str, ...] = ()) -> str:
    with pytest.raises(MmarRunnerError) as refused:
        RULE.check(name, holder, present)
    return refused.value.reason


@pytest.mark.parametrize("name", ["site-1", "site-1_1", "site-1_12", "site-1_16"])
def test_its_own_name_and_instances_of_it(name: str) -> None:
    RULE.check(name, peer("site-1"), ())


@pytest.mark.parametrize(
    "name",
    [
        *(
            "site-2",
            "SITE-1",
            "site-1 ",
            " site-1",
            "../x",
            "x" * 10_000,
            "",
            "site-1_",
            "site-1_0",
        ),
        *("site-1_01", "site-1_1_1", "site-1_a", "site-1_-1", "site-1_²", "site-1_9", "site-1\n"),
    ],
    ids=range(16),
)
def test_every_other_name_is_somebody_elses(name: str) -> None:
    assert refusal(name, peer("site-1")) == "NAME_MISMATCH"


def test_nobody_without_a_certificate() -> None:
    assert refusal("site-1", Peer("ipv4:127.0.0.1:1")) == "CERT_MISSING"


def test_a_site_that_the_policy_does_not_know_or_refuses() -> None:
    assert refusal("site-9", peer("site-9")) == "SITE_UNKNOWN"
    with pytest.raises(NotAuthorizedError, match="no code") as refused:
        RULE.check("site-3", peer("site-3"), ())
    assert refused.value.reason == "X"


def test_one_certificate_has_so_many_clients_and_no_more() -> None:
    present = tuple(f"site-1_{k}" for k in range(1, 1 + MAX_INSTANCES))
    assert refusal("site-1", peer("site-1"), present) == "TOO_MANY_INSTANCES"
    RULE.check(present[0], peer("site-1"), present)


@pytest.mark.parametrize("number", ["17", "7000", "9" * 5000], ids=len)
def test_one_certificate_has_so_many_names_and_no_more(number: str) -> None:
    assert refusal(f"site-1_{number}", peer("site-1")) == "TOO_MANY_INSTANCES"


def test_on_loopback_names_are_believed() -> None:
    BelievedNames().check("anything", Peer("unix:"), ())
