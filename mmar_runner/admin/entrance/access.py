# SPDX-License-Identifier: Apache-2.0
"""Whether an administrator may order something, at every place that it is addressed to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mmar_runner.documents.words import did_you_mean, printable
from mmar_runner.errors import NotAuthorizedError, OrderError
from mmar_runner.security.kits.followed import FollowedRules
from mmar_runner.security.policy.authorization import (
    ACTIONS,
    CONTENTS,
    SERVER_SITE,
    authorize,
    site_rule,
)
from mmar_runner.security.policy.orders import judge_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mmar_runner.admin.runs.federation_state import RunEntry
    from mmar_runner.interfaces.admin_command import CommandSpec, Targets
    from mmar_runner.security.decision import Decision, Step
    from mmar_runner.security.kits.kit import StartupKit
    from mmar_runner.security.policy.authorization_file import Authorization
    from mmar_runner.security.policy.site_policy import SitePolicy


class Access:
    """The project's rights and the server's own policy, as they are on the disk now. Blocks.

    A file that is changed counts from the next order on; one that is wrong, or is not what the
    authority signed, changes nothing.

    Args:
        kit: The server's.

    Raises:
        UsageError: POLICY_INVALID, a policy cannot be read, or is wrong.
    """

    def __init__(self, kit: StartupKit) -> None:
        self._rules = FollowedRules(kit)

    @property
    def authorization(self) -> Authorization:
        """The project's policy in force."""
        return self._rules.authorization()

    @property
    def policy(self) -> SitePolicy:
        """The server's own policy in force."""
        return self._rules.policy()

    def org_of(self, user: str) -> str:
        """Return a user's organisation; empty if nobody knows the user."""
        known = self.authorization.users.get(user)
        return known.org if known else ""

    def site_of(self, client: str) -> str:
        """Return the site of a client's name, which may be an instance's."""
        sites = self.authorization.sites
        site, _, number = client.rpartition("_")
        return site if client not in sites and number.isdecimal() and site in sites else client

    def sees_all(self, user: str) -> bool:
        """Return True if a user may see what other organisations have at the server."""
        found = judge_order(
            self.authorization, None, SERVER_SITE, user=user, command="", right="view"
        )
        return found.accepted

    def sees(self, user: str, org: str) -> bool:
        """Return True if a user may know of what an organisation has at the server."""
        return org == self.org_of(user) or self.sees_all(user)

    def require_run(self, number: int, runs: Mapping[int, RunEntry], user: str) -> None:
        """Refuse a run that is another organisation's as one that is not there.

        Raises:
            NotAuthorizedError: UNKNOWN.
        """
        entry = runs.get(number)
        if entry is None or not self.sees(user, entry.org):
            raise unknown("run", str(number), ())

    def decisions(
        self, user: str, spec: CommandSpec, targets: Targets, present: Iterable[str]
    ) -> list[Decision]:
        """Return what is decided at every place that an order is addressed to.

        Args:
            user: Who orders it.
            spec: What.
            targets: Whom it is addressed to.
            present: The clients that are there, whom "all" means.
        """
        clients = sorted(set(present)) if targets.all_clients else targets.clients
        sites = {self.site_of(client): None for client in clients}
        places = [*([SERVER_SITE] if targets.server or spec.server_too else []), *sites]
        if not places:  # "all", and nobody is there: it is for the server to say so
            return [self._decision(SERVER_SITE, user, spec.name, "")]
        return [self._decision(place, user, spec.name, spec.right) for place in places]

    def steps(self, site: str, user: str, action: str) -> tuple[Step, ...]:
        """Return what every rule of the project says of one action, or of one rule.

        Raises:
            OrderError: ACTION_UNKNOWN.
        """
        contents = {rule: content for content, (rule, _, _) in CONTENTS.items()}
        if action in contents:
            return (site_rule(self.authorization, contents[action], site),)
        if action not in ACTIONS:
            known = (*(name for name in ACTIONS if name != "run"), *contents)
            msg = f"there is no right or rule {printable(action)!r}"
            raise OrderError(msg, hint=f"one of {', '.join(known)}", reason="ACTION_UNKNOWN")
        return authorize(self.authorization, user, action, site)

    def require_accepted(self, user: str) -> None:
        """Refuse whoever may not even open a session.

        Raises:
            NotAuthorizedError: USER_UNKNOWN or ADMIN_NOT_ACCEPTED.
        """
        self._decision(SERVER_SITE, user, "", "").require()

    def _decision(self, place: str, user: str, command: str, right: str) -> Decision:
        # A site says for itself what it allows: here only the project speaks for it.
        own = self.policy if place == SERVER_SITE else None
        return judge_order(self.authorization, own, place, user=user, command=command, right=right)


#: What tells its user which there are.
_LISTS: Final = {
    "run": "`list_runs` lists them",
    "uploaded MMAR": "`list_mmars` lists them",
    "place in the queue": "`check_status server` shows the queue",
}


def unknown(what: str, name: str, known: Iterable[str]) -> NotAuthorizedError:
    """Return the one answer about what is not there, and about what is another's."""
    hint = " ".join(filter(None, (did_you_mean(name, known), _LISTS.get(what))))
    msg = f"there is no {what} {name!r} that you may see"
    return NotAuthorizedError(msg, hint=hint, reason="UNKNOWN")
