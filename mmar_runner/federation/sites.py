# SPDX-License-Identifier: Apache-2.0
"""Which site a client is of. Pure: names in, names out."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Sites:
    """The sites of a federation.

    A site has one certificate and any number of clients: ``NAME``, and ``NAME_K`` for a
    further instance. Where nobody has a certificate, sites are not known, and every name
    counts by itself.

    Attributes:
        known: Every site of the project: none of their names is an instance's.
        admitted: Those that may take part.
    """

    known: frozenset[str] = field(default_factory=frozenset)
    admitted: frozenset[str] = field(default_factory=frozenset)

    def of(self, client: str) -> str:
        """Return the site of a client; its own name if it is no known site's instance."""
        site, _, number = client.rpartition("_")
        instance = client not in self.known and site in self.known and number.isdecimal()
        return site if instance else client

    def of_all(self, clients: Iterable[str]) -> set[str]:
        """Return the sites of clients."""
        # Asked with every update, of all clients: what sets do at once is not done by name.
        named = set(clients)
        if not self.known:
            return named
        others = named - self.known
        return (named - others).union(map(self.of, others)) if others else named

    def count(self, clients: Iterable[str]) -> int:
        """Return of how many sites clients are."""
        return len(self.of_all(clients))

    def there(self, clients: Iterable[str]) -> int:
        """Return how many clients are there for a round to open: further instances, too."""
        return len(set(clients))

    def absent(self, clients: Iterable[str]) -> set[str]:
        """Return the admitted sites of which none of these clients is."""
        return set(self.admitted) - self.of_all(clients)

    def may_come(self, failed: Iterable[str]) -> set[str]:
        """Return the sites that may still come if these clients have failed."""
        return self.absent(failed)

    def has_place(self, client: str, present: Collection[str], places: int) -> bool:
        """Return True if there is a place for one more client.

        A place is kept for every admitted site that has no client: a site's first client
        may have it, a further instance only what is left over.

        Args:
            client: Who comes.
            present: Who is there.
            places: How many clients there may be.
        """
        if not self.known and not self.admitted:
            return len(present) < places  # asked of every client of thousands
        if self.of(client) not in self.of_all(present):
            return len(present) < places
        return len(present) + len(self.absent(present)) < places


#: Names are believed, and every one counts.
NO_SITES = Sites()
