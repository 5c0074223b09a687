# SPDX-License-Identifier: Apache-2.0
"""What an administrator may order at one place: the project's rights, then the place's own word.

The server asks it for every target ahead, a site for itself, by its own files. A site's own
policy only takes away: it gives nobody a right that the project does not give.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mmar_runner.security.decision import Decision
from mmar_runner.security.policy.authorization import REASON_OF_UNKNOWN, authorize
from mmar_runner.security.steps import accepts, refuses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mmar_runner.security.decision import Step
    from mmar_runner.security.policy.authorization_file import Authorization
    from mmar_runner.security.policy.site_policy import SitePolicy

#: Commands that look into a run's folder: none is allowed unless the place says so.
SHELL_COMMANDS: Final = frozenset({"pwd", "ls", "cat", "head", "tail", "grep", "env"})


def judge_order(
    authorization: Authorization,
    policy: SitePolicy | None,
    site: str,
    *,
    user: str,
    command: str,
    right: str,
) -> Decision:
    """Decide whether somebody may order something at one place.

    Args:
        authorization: The project's policy.
        policy: The place's own; None where another place asks ahead and does not have it.
        site: Where: a client's name, or ``server``.
        user: Who orders it: an e-mail address.
        command: What.
        right: Which action it needs, a key of `authorization.ACTIONS`; empty for none.
    """
    steps = [*_project(authorization, user, right, site), *_own(policy, user, command)]
    return Decision(right or "view", site, (user,), "", tuple(steps))


def _project(authorization: Authorization, user: str, right: str, site: str) -> tuple[Step, ...]:
    if right:
        return authorize(authorization, user, right, site)
    if user in authorization.users:
        return (accepts("authorization.user", f"{user} is a user of this project."),)
    message = f"{user!r} is not a user of this project."
    hint = "'users' of authorization.json would have to name this user."
    return (refuses("authorization.user", REASON_OF_UNKNOWN["user"], message, hint=hint),)


def _own(policy: SitePolicy | None, user: str, command: str) -> Iterator[Step]:
    if policy is None:
        return
    said = policy.admin
    if "accepted_names" in said and user not in said["accepted_names"]:
        yield refuses(
            "admin.accepted_names",
            "ADMIN_NOT_ACCEPTED",
            f"This site takes no orders of {user}.",
            policy=policy.place("admin", "accepted_names"),
            hint="Whoever owns the site can add the name to admin.accepted_names there.",
        )
    if command in said.get("refused_commands", ()):
        yield refuses(
            "admin.refused_commands",
            "COMMAND_REFUSED",
            f"This site does not carry out {command}, whoever orders it.",
            policy=policy.place("admin", "refused_commands"),
            hint="Whoever owns the site can take it out of admin.refused_commands there.",
        )
    if command in SHELL_COMMANDS and command not in said.get("allowed_shell_cmds", ()):
        yield refuses(
            "admin.allowed_shell_cmds",
            "SHELL_REFUSED",
            f"This site does not allow {command} to look into the run's folder.",
            policy=policy.place("admin", "allowed_shell_cmds"),
            hint="Whoever owns the site can allow it in admin.allowed_shell_cmds of its "
            "site_policy.json.",
        )
