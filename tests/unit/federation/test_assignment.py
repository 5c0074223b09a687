# SPDX-License-Identifier: Apache-2.0
"""Who works below which combiner, and what is expected of a combiner's sum."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mmar_runner.federation.assignment import AssignedSites, AssignmentTable, Expected
from mmar_runner.federation.sites import Sites


def table(wanted: int = 4, **places: str) -> AssignmentTable:
    """Return a table of two combiners, with some clients placed."""
    placed = {name.replace("_", "-"): at for name, at in places.items()}
    return AssignmentTable(lambda: wanted, {}, {"east", "west"}, placed)


BOTH = ["east", "west"]


def test_the_combiner_with_the_fewest_clients_is_chosen_and_of_several_the_first() -> None:
    assert table().choose("site-1", BOTH, "") == "east"
    assert table(site_1="east").choose("site-2", BOTH, "") == "west"
    assert table(site_1="east", site_2="west").choose("site-3", BOTH, "") == "east"


def test_a_preferred_combiner_is_chosen_if_it_is_there() -> None:
    placed = table(site_1="east", site_2="east")
    assert placed.choose("site-3", BOTH, "east") == "east"
    assert placed.choose("site-3", BOTH, "north") == "west"


def test_whoever_has_a_combiner_keeps_it_while_it_is_there() -> None:
    placed = table(site_1="east", site_2="east")
    assert placed.choose("site-2", BOTH, "west") == "east"
    assert placed.choose("site-2", ["west"], "") == "west"


def test_a_pinned_client_waits_for_its_combiner() -> None:
    pinned = AssignmentTable(lambda: 1, {"site-1": "west"}, {"east", "west"}, {})
    assert pinned.choose("site-1", BOTH, "east") == "west"
    assert pinned.choose("site-1", ["east"], "") is None


def test_nobody_is_assigned_where_no_combiner_is_there() -> None:
    assert table().choose("site-1", [], "east") is None


def test_all_are_needed_where_a_round_needs_all_and_fewer_where_it_does_not() -> None:
    placed = {"site_1": "east", "site_2": "east", "site_3": "west", "site_4": "west"}
    east = frozenset({"site-1", "site-2"})
    assert table(4, **placed).expected("east", BOTH) == Expected(east, 2)
    assert table(3, **placed).expected("east", BOTH) == Expected(east, 1)
    assert table(1, **placed).expected("east", BOTH) == Expected(east, 1)
    # West is not there: its two sites are missing, and east can spare nobody.
    assert table(3, **placed).expected("east", ["east"]) == Expected(east, 2)


def test_what_another_one_spared_cannot_be_spared_once_more() -> None:
    placed = table(3, site_1="east", site_2="east", site_3="west", site_4="west")
    placed.counted = {"west": frozenset({"site-3"})}.get
    assert placed.expected("east", BOTH).needed == 2


def test_who_counts_in_the_sum_of_a_combiner_that_died_is_not_asked_again_in_that_round() -> None:
    placed = table(4, site_1="west", site_2="west", site_3="west", site_4="west")
    placed.counted = {"east": frozenset({"site-1"})}.get
    expected = placed.expected("west", ["west"])
    assert expected == Expected(frozenset({"site-2", "site-3", "site-4"}), 3)


def test_sites_of_a_tree_are_those_for_whom_its_combiners_stand() -> None:
    placed = table(4, site_1="east", site_2="east", site_3="west")
    sites = AssignedSites(table=placed)
    assert sites.count(["east", "west"]) == 3
    assert sites.there(["east"]) == 2
    assert sites.count(["west", "site-9"]) == 2, "who comes to the server itself is one"
    placed.counted = {"east": frozenset({"site-1"})}.get
    assert sites.count(["east", "west"]) == 2, "what came is what counts"


def test_whoever_has_a_combiner_is_not_missed_at_the_server() -> None:
    admitted = frozenset({"east", "west", "site-1", "site-2"})
    sites = AssignedSites(admitted, admitted, table(site_1="east"))
    assert sites.absent(["east", "west"]) == {"site-2"}


@given(
    places=st.dictionaries(
        st.sampled_from([f"site-{n}" for n in range(9)]), st.sampled_from(BOTH), min_size=1
    ),
    wanted=st.integers(1, 9),
)
def test_if_every_combiner_sends_what_is_needed_they_may_lack_it_together_at_most_once(
    places: dict[str, str], wanted: int
) -> None:
    """Whoever sends last is asked for what the others have left to send."""
    placed = AssignmentTable(lambda: wanted, {}, {"east", "west"}, places)
    sums: dict[str, frozenset[str]] = {}
    placed.counted = sums.get
    there = [name for name in BOTH if placed.below(name)]
    for name in there:
        expected = placed.expected(name, there)
        assert 1 <= expected.needed <= len(expected.sites)
        sums[name] = frozenset(sorted(expected.sites)[: expected.needed])
    assert sum(map(len, sums.values())) >= min(wanted, len(places))


def test_further_instances_of_a_site_work_and_stand_for_nobody() -> None:
    known = Sites(frozenset({"site-1", "site-2"}))
    places = {"site-1": "east", "site-1_2": "east", "site-2": "west"}
    placed = AssignmentTable(lambda: 2, {}, {"east", "west"}, places, count=known.count)
    assert placed.expected("east", BOTH).needed == 1
    assert AssignedSites(known.known, table=placed).count(BOTH) == 2


def test_a_site_with_clients_below_two_combiners_is_needed_once() -> None:
    known = Sites(frozenset({"site-1", "site-2"}))
    places = {"site-1": "west", "site-1_1": "east", "site-2": "east"}
    placed = AssignmentTable(lambda: 2, {}, {"east", "west"}, places, count=known.count)
    assert placed.expected("east", BOTH).needed == 1
    assert placed.expected("west", BOTH).needed == 1


def test_a_pin_is_a_sites_with_all_its_instances() -> None:
    known = Sites(frozenset({"site-1"}))
    pinned = AssignmentTable(lambda: 1, {"site-1": "west"}, {"east", "west"}, site_of=known.of)
    assert pinned.choose("site-1_1", BOTH, "east") == "west"


def test_who_is_avoided_is_chosen_only_if_there_is_nobody_else() -> None:
    assert table(site_1="east").choose("site-1", BOTH, "", ["east"]) == "west"
    assert table(site_1="east").choose("site-1", ["east"], "", ["east"]) == "east"


def test_sites_below_a_combiner_that_failed_may_come_by_another() -> None:
    sites = AssignedSites(table=table(site_1="east", site_2="west"))
    assert sites.may_come({"east"}) == {"site-1"}
    assert sites.may_come(set()) == set()


def test_whoever_is_gone_is_needed_only_if_those_who_are_there_are_too_few() -> None:
    placed = table(3, site_1="east", site_2="west", site_3="west", site_4="east")
    placed.gone = {"west": frozenset({"site-3"}), "east": frozenset()}.__getitem__
    assert placed.expected("west", BOTH).needed == 1
    placed.wanted = lambda: 4
    assert placed.expected("west", BOTH).needed == 2


def test_sums_that_are_too_small_are_named_if_somebody_else_is_there_for_them() -> None:
    placed = table(3, site_1="east", site_2="east", site_3="west", site_4="west")
    placed.counted = {"east": frozenset({"site-1"})}.get
    assert placed.lacking(BOTH) == []
    placed.gone = {"west": frozenset({"site-4"}), "east": frozenset()}.__getitem__
    assert placed.lacking(BOTH) == ["east"]
    assert placed.lacking(["west"]) == [], "it is not there to be asked"
    placed.gone = {"west": frozenset({"site-4"}), "east": frozenset({"site-2"})}.__getitem__
    assert placed.lacking(BOTH) == []
