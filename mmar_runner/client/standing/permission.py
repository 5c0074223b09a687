# SPDX-License-Identifier: Apache-2.0
"""Whether this site does what somebody ordered: who signed it, for whom, once, and by which right.

The server hands orders on. It is believed nothing: neither who ordered, nor what, nor that it
is new.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mmar_runner.documents.words import printable
from mmar_runner.errors import NotAuthorizedError
from mmar_runner.orders.commands import BUILT_IN, OF_A_CLIENT
from mmar_runner.orders.memory import OrderMemory
from mmar_runner.orders.order import opened
from mmar_runner.orders.typed import understood
from mmar_runner.security.kits.followed import FollowedRules
from mmar_runner.security.policy.orders import judge_order

if TYPE_CHECKING:
    from mmar_runner.client.standing.settings import StandingSettings
    from mmar_runner.interfaces.admin_command import CommandCall
    from mmar_runner.orders.order import Order

#: Letters of an order's addressees that are told.
_SHOWN = 200
_SPECS = {name: BUILT_IN[name] for name in OF_A_CLIENT}


class Permission:
    """Judges orders by this site's own files. Blocks; one thread at a time.

    The site's policy is read again when it changes; one that is wrong changes nothing.

    Args:
        settings: Of the client.

    Attributes:
        order: What was judged last, if it is somebody's whom this site knows; None else.

    Raises:
        UsageError: POLICY_INVALID, a policy cannot be read, or is wrong.
    """

    def __init__(self, settings: StandingSettings) -> None:
        self._settings = settings
        self._trust = settings.trust
        self._memory = OrderMemory(settings.workspace / "orders.json")
        self._rules = FollowedRules(settings.trust.kit)
        self.order: Order | None = None

    def require(self, data: bytes) -> CommandCall:
        """Return what is ordered, if this site does it.

        Args:
            data: The signed order.

        Raises:
            SignatureError: It is nobody's whom this site knows, too old, or not the first time.
            UsageError: COMMAND_UNKNOWN, it is nothing that a client does; or wrong arguments.
            NotAuthorizedError: NOT_ADDRESSED, it is not for this client; or a rule refuses it.
            StorageError: That it was ordered cannot be kept.
        """
        now, self.order = datetime.now(UTC), None
        order = opened(data, self._trust.kit.trust_root, self._trust.revocations.current, now=now)
        self.order = order
        self._memory.note(order, now=now)
        call = understood(order.words, _SPECS, order.user)
        if not call.targets.meets(self._settings.name):
            whom = printable(str(call.targets)[:_SHOWN])
            msg = f"the order is for {whom}, and this is {self._settings.name}"
            raise NotAuthorizedError(msg, reason="NOT_ADDRESSED")
        judge_order(
            self._rules.authorization(),
            self._rules.policy(),
            self._settings.site,
            user=order.user,
            command=order.command,
            right=call.spec.right,
        ).require()
        return call

    def allowed_shell_commands(self) -> tuple[str, ...]:
        """Return the commands that may look into the run's folder."""
        return self._rules.policy().admin.get("allowed_shell_cmds", ())
