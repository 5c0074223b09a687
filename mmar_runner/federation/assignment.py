# SPDX-License-Identifier: Apache-2.0
"""Which client works below which combiner. Pure: names in, names out.

A server that assigns is the controller of its combiners. What follows from its table is told
to a combiner with every task: who works below it, and of how many the sum needs updates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeAlias

from mmar_runner.federation.sites import NO_SITES, Sites

#: The sites in a combiner's sum for the open round; None while it counts none.
CountedOf: TypeAlias = Callable[[str], frozenset[str] | None]


class AssignStatus(IntEnum):
    """What becomes of a client that asks for a combiner; the numbers of FEDn's clients."""

    UNASSIGNED = 0
    ASSIGNED = 1
    TRY_AGAIN = 2
    UNAUTHORIZED = 3
    UNMATCHED_CONFIG = 4


@dataclass(frozen=True, slots=True)
class Expected:
    """What a controller expects of a combiner's sum.

    Attributes:
        sites: Who works below it in the round.
        needed: Of how many of them the sum needs updates.
    """

    sites: frozenset[str]
    needed: int


@dataclass(slots=True)
class AssignmentTable:
    """Who works below whom, and what is expected of whom.

    Attributes:
        wanted: Says of how many sites a round needs updates, in the whole tree.
        pinned: The one combiner that a client must have, by the client's name.
        combiners: Every client that combines, or has.
        combiner_of: The combiner of every client that has one.
        counted: Says which sites count in a combiner's sum for the open round.
        count: Says of how many sites clients are: further instances of one count once.
        site_of: Says of which site a client is.
        gone: Says which clients of a combiner are not there, as far as it tells.
    """

    wanted: Callable[[], int]
    pinned: Mapping[str, str] = field(default_factory=dict)
    combiners: set[str] = field(default_factory=set)
    combiner_of: dict[str, str] = field(default_factory=dict)
    counted: CountedOf = lambda _: None
    count: Callable[[Iterable[str]], int] = NO_SITES.count
    site_of: Callable[[str], str] = NO_SITES.of
    gone: Callable[[str], AbstractSet[str]] = lambda _: frozenset()

    def choose(
        self, client: str, present: Collection[str], preferred: str, avoid: Collection[str] = ()
    ) -> str | None:
        """Return the combiner that a client is to work below; None if it has to wait.

        The one that it must have; else the one that it has, for as long as that is there; else
        the one that it prefers; else the one with the fewest clients, of several the first by
        name.

        Args:
            client: Who asks.
            present: The combiners that are there.
            preferred: Which one it prefers; empty for none.
            avoid: Which do not answer it; one of them is chosen all the same if there is no other.
        """
        if (pin := self.pinned.get(self.site_of(client))) is not None:
            return pin if pin in present else None
        present = set(present).difference(avoid) or present
        if (before := self.combiner_of.get(client)) in present:
            return before
        if preferred in present:
            return preferred
        load = Counter(self.combiner_of.values())
        return min(sorted(present), key=lambda name: load[name], default=None)

    def below(self, combiner: str) -> frozenset[str]:
        """Return who works below a combiner."""
        return frozenset(c for c, its in self.combiner_of.items() if its == combiner)

    def asked(self, combiner: str) -> frozenset[str]:
        """Return whose updates a combiner's sum for the open round may hold.

        Not those who count in another one's already, below which they were before it died.
        """
        others = self.combiners - {combiner}
        return self.below(combiner).difference(*(self.counted(one) or () for one in others))

    def expected(self, combiner: str, there: Iterable[str]) -> Expected:
        """Return what is expected of a combiner's sum.

        All may be missed together as many as are there beyond those whom a round needs.

        Args:
            combiner: Who.
            there: The clients that take part: combiners, and sites that come to the server itself.
        """
        sites = self.asked(combiner)
        others = self.standing(self._summed().union(there) - {combiner})
        own = sites - self.gone(combiner)
        spare = self.count(others | own) - self.wanted()
        if spare < 0:  # those who are there are too few: whoever is gone is waited for
            own, spare = sites, 0
        needed = self.count(others | own) - self.count(others) - spare
        return Expected(sites, max(1, needed))

    def lacking(self, there: Iterable[str]) -> list[str]:
        """Return the combiners whose sums are too small, though clients of theirs are there.

        As they stand, the sums that are in and those that may come hold too few.
        """
        standing = self.standing(self._summed().union(there))
        if self.count(standing) >= self.wanted():
            return []
        late = {one: self.asked(one) - self.gone(one) - standing for one in self._summed()}
        return sorted(one for one, clients in late.items() if clients and one in set(there))

    def standing(self, clients: Iterable[str]) -> set[str]:
        """Return for whom clients stand in the open round: combiners for those below them."""
        named = set(clients)
        combining = self.combiners & named
        return (named - combining).union(*map(self._names, combining))

    def _names(self, combiner: str) -> frozenset[str]:
        counted = self.counted(combiner)
        return self.asked(combiner) - self.gone(combiner) if counted is None else counted

    def _summed(self) -> set[str]:
        return {one for one in self.combiners if self.counted(one) is not None}


@dataclass(frozen=True, slots=True)
class AssignedSites(Sites):
    """The sites of a federation whose combiners stand for those assigned to them.

    Attributes:
        table: Who works below whom.
    """

    table: AssignmentTable = field(default_factory=lambda: AssignmentTable(lambda: 1))

    # Not super(): a class with slots is made anew, and its methods keep the first one's.

    def count(self, clients: Iterable[str]) -> int:
        """Return of how many sites clients are, or stand for."""
        return Sites.count(self, self.table.standing(clients))

    def there(self, clients: Iterable[str]) -> int:
        """Return how many clients are there for a round to open: those assigned, too."""
        return Sites.there(self, self.table.standing(clients))

    def absent(self, clients: Iterable[str]) -> set[str]:
        """Return the admitted sites of which none of these clients is, and that have no combiner.

        A combiner is none of them: it has no data.
        """
        placed = self.of_all(self.table.combiner_of) | self.table.combiners
        return Sites.absent(self, clients) - placed

    def may_come(self, failed: Iterable[str]) -> set[str]:
        """Return the sites that may still come if these clients have failed.

        Those below a combiner that has failed may come by another.
        """
        below = (self.table.below(one) for one in self.table.combiners.intersection(failed))
        return self.absent(failed).union(*map(self.of_all, below))
