# SPDX-License-Identifier: Apache-2.0
"""The whole protocol: sums are exact whoever is lost, and nothing else can be read."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmar_runner_secagg.client_round import ClientRound
from mmar_runner_secagg.fixed_point import FixedPoint
from mmar_runner_secagg.parameters import Parameters
from mmar_runner_secagg.payloads import Survivors, encode, read_letters, read_revealed
from mmar_runner_secagg.reveal import Keeping, RefusedToRevealError, reveal
from mmar_runner_secagg.secrets_shared import join
from mmar_runner_secagg.server_round import ServerRound, TooFewError
from tests.unit.plugins_secagg.rounds import STEPS, play


def differences(names, elements=100):
    draw = np.random.default_rng(len(names))
    return {name: draw.normal(0, 0.5, elements) for name in names}


@st.composite
def losses(draw):
    """Clients, and up to a third of them lost: each at any step."""
    clients = draw(st.integers(3, 10))
    names = [f"site-{number}" for number in range(clients)]
    gone = draw(st.lists(st.sampled_from(names), unique=True, max_size=clients // 3))
    lost = {step: [] for step in STEPS}
    for name in gone:
        lost[draw(st.sampled_from(STEPS))].append(name)
    return names, lost


@settings(max_examples=25, deadline=None)
@given(losses(), st.sampled_from([32, 64]))
def test_the_sum_is_exact_with_up_to_a_third_lost_at_any_step(drawn, bits):
    names, lost = drawn
    with tempfile.TemporaryDirectory() as folder:
        outcome = play(differences(names), lost, Path(folder), bits=bits)
    np.testing.assert_array_equal(outcome.total, outcome.plain)


@pytest.mark.parametrize("step", STEPS[1:])
def test_beyond_a_third_the_server_says_that_too_few_are_left(step, tmp_path):
    names = [f"site-{number}" for number in range(6)]
    with pytest.raises(TooFewError, match=r"3 of 6 clients|3 shares of 4"):
        play(differences(names), {step: names[:3]}, tmp_path)


def test_one_client_alone_is_refused(tmp_path):
    with pytest.raises(TooFewError, match="1 client takes part"):
        play(differences(["site-1"]), {}, tmp_path)


def test_on_a_sparse_graph_too(tmp_path, monkeypatch):
    """Six neighbours each, where the numbers for so few clients would bind all to all."""
    monkeypatch.setattr(
        "mmar_runner_secagg.server_round.parameters", lambda clients: Parameters(clients, 6, 4)
    )
    names = [f"site-{number:02d}" for number in range(14)]
    lost = {"keys": names[:1], "update": names[5:6], "unmask": names[9:10]}
    outcome = play(differences(names), lost, tmp_path)
    np.testing.assert_array_equal(outcome.total, outcome.plain)


def test_what_the_server_sees_of_a_client_looks_like_chance(tmp_path):
    """Chi-square over the bytes: of a masked update, of the plain one, of two masked ones."""
    names = ["a", "b", "c"]
    values = differences(names, 1 << 16)
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    first, second = (play(values, {}, tmp_path / run) for run in ("1", "2"))
    np.testing.assert_array_equal(first.total, second.total)
    plain = FixedPoint(32, 1.0, 3).encode(values["a"])
    assert chi_square(plain) > 1e4  # what the test would see of a client without masks
    for seen in (first.seen["a"], second.seen["a"], first.seen["a"] - second.seen["a"]):
        assert chi_square(seen) < 400  # of 255 degrees of freedom: beyond it once in 1e7 times
    assert (first.seen["a"] != second.seen["a"]).mean() > 0.999


def chi_square(numbers):
    counts = np.bincount(np.frombuffer(numbers.tobytes(), np.uint8), minlength=256)
    expected = counts.sum() / 256
    return ((counts - expected) ** 2 / expected).sum()


def started(names, least=2):
    server = ServerRound(b"seed")
    clients = {name: ClientRound(name, least) for name in names}
    return server, clients, server.keys({n: c.advertise() for n, c in clients.items()})


def test_a_client_believes_no_threshold_that_is_not_safe():
    _, clients, told = started("abcdef")
    circle = json.loads(told["a"])
    for threshold in (0, 1, 3, 7):
        with pytest.raises(ValueError, match="is not safe"):
            clients["a"].share(json.dumps({**circle, "threshold": threshold}).encode())


def test_a_client_masks_nothing_that_would_be_read_in_another_way():
    server = ServerRound(b"seed", "32 bits")
    clients = {name: ClientRound(name, terms="64 bits") for name in "abc"}
    told = server.keys({n: c.advertise() for n, c in clients.items()})
    with pytest.raises(ValueError, match="the aggregator is for 32 bits, not 64 bits"):
        clients["a"].share(told["a"])


def test_a_client_hides_among_as_many_as_its_site_wants():
    _, clients, told = started("abc", least=4)
    with pytest.raises(ValueError, match="this site hides among 4 at least"):
        clients["a"].share(told["a"])


def test_a_letter_that_was_changed_or_swapped_is_noticed():
    server, clients, told = started("abc")
    letters = {name: client.share(told[name]) for name, client in clients.items()}
    answers = server.shares(letters)
    said = read_letters(answers["a"])
    sealed = dict(said.sealed)
    sealed["b"], sealed["c"] = sealed["c"], sealed["b"]
    with pytest.raises(ValueError, match="not what its sender made"):
        clients["a"].receive(encode(type(said)(sealed, 3)))


def let_lie(monkeypatch, liars):
    """Have clients give other shares away than those they hold."""
    from tests.unit.plugins_secagg import rounds

    def lies(name, told, path):
        given = json.loads(honest(name, told, path))
        if name in liars:
            given["seeds"] = dict.fromkeys(given["seeds"], "A" * 44)
            given["keys"] = dict.fromkeys(given["keys"], "A" * 44)
        return json.dumps(given).encode()

    honest = rounds.reveal
    monkeypatch.setattr(rounds, "reveal", lies)


def test_shares_that_were_changed_are_noticed_and_nothing_wrong_is_summed(tmp_path, monkeypatch):
    let_lie(monkeypatch, {"site-1", "site-2"})
    names = [f"site-{number}" for number in range(4)]
    with pytest.raises(TooFewError, match=r"not as (they were|it was) made"):
        play(differences(names), {}, tmp_path)


@pytest.mark.parametrize("liar", ["site-0", "site-3", "site-5"])
def test_one_client_that_gives_wrong_shares_away_ends_no_round(tmp_path, monkeypatch, liar):
    """There are more shares than are needed, and what they must give was announced."""
    let_lie(monkeypatch, {liar})
    names = [f"site-{number}" for number in range(6)]
    outcome = play(differences(names), {"update": ["site-2"]}, tmp_path)
    np.testing.assert_array_equal(outcome.total, outcome.plain)


@pytest.mark.parametrize("part", ["seal", "mask"])
def test_a_key_with_which_nobody_can_agree_is_refused_before_it_is_passed_on(part):
    """Every neighbour would have to give up at it, in every round."""
    said = {**json.loads(ClientRound("a").advertise()), part: "A" * 43 + "="}
    with pytest.raises(ValueError, match="shared key"):
        ServerRound(b"").check("keys", "a", json.dumps(said).encode())


def test_a_number_that_is_infinite_is_not_of_the_protocol():
    with pytest.raises(ValueError, match="not of the protocol: OverflowError"):
        read_letters(b'{"sealed": {}, "clients": Infinity}')


def test_two_stories_do_not_open_an_update(tmp_path):
    """A server tells half of the clients that a is there, and the others that it is not."""
    names = "abcdef"
    server, clients, told = started(names)
    answers = server.shares({n: c.share(told[n]) for n, c in clients.items()})
    seeds, keys = {}, {}
    for point, name in enumerate(names, start=1):
        clients[name].receive(answers[name])
        held, own, threshold = clients[name].kept()
        Keeping(held, own, threshold, 2, {}).keep(tmp_path / name)
        here = set(names) - {name} - ({"a"} if name in "ef" else set())
        given = read_revealed(reveal(name, encode(Survivors(6, frozenset(here))), tmp_path / name))
        if "a" in given.seeds:
            seeds[point] = given.seeds["a"]
        if "a" in given.keys:
            keys[point] = given.keys["a"]
    assert len(seeds) == 4  # of a itself, too: enough for its own mask
    assert len(keys) == 2  # and not for those that it shares with others
    assert len(join(seeds, threshold)) == 32
    with pytest.raises(ValueError, match="2 shares, and 4 are needed"):
        join(keys, threshold)


@pytest.mark.parametrize(
    ("phase", "payload"),
    [
        ("keys", b""),
        ("keys", b"[]"),
        ("keys", b'{"seal": "", "mask": "", "commitment": ""}'),
        ("shares", b'{"sealed": {}, "clients": 0}'),
        ("shares", b"\xff"),
        ("unmask", b'{"seeds": {}, "keys": {}}'),
        ("unmask", b"{}"),
    ],
)
def test_what_is_not_of_the_protocol_is_refused(phase, payload):
    server, clients, told = started("abc")
    answers = server.shares({n: c.share(told[n]) for n, c in clients.items()})
    for name, client in clients.items():
        client.receive(answers[name])
    server.surviving(clients)
    with pytest.raises(ValueError, match=r"protocol|letters|shares"):
        server.check(phase, "a", payload)


def test_an_update_of_whoever_did_not_share_is_refused():
    server, clients, told = started("abc")
    server.shares({n: c.share(told[n]) for n, c in clients.items() if n != "a"})
    with pytest.raises(ValueError, match="a: masked for nobody"):
        server.surviving("abc")


def test_an_update_that_was_masked_twice_has_other_masks():
    """New keys each time: two updates under the same masks would show their difference."""
    seeds = []
    for _ in range(2):
        server, clients, told = started("abc")
        answers = server.shares({n: c.share(told[n]) for n, c in clients.items()})
        clients["a"].receive(answers["a"])
        seeds += [seed for _, seed in clients["a"].mask_seeds()]
    assert len(set(seeds)) == len(seeds)


def test_a_site_refuses_what_the_server_asks_twice_in_different_ways(tmp_path):
    names = [f"site-{number}" for number in range(6)]
    play(differences(names), {}, tmp_path)
    other = encode(Survivors(5, frozenset(names[1:5])))
    with pytest.raises(RefusedToRevealError, match="site-5"):
        reveal("site-0", other, tmp_path / "site-0")
