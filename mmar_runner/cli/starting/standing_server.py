# SPDX-License-Identifier: Apache-2.0
"""A server that waits for administrators: from what was typed to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmar_runner.admin.entrance.sessions import IDLE_SECONDS
from mmar_runner.admin.office import OfficeSettings, run_office
from mmar_runner.cli.output import echo_json, say
from mmar_runner.cli.starting.addresses import require_address
from mmar_runner.cli.starting.again import execute_again
from mmar_runner.cli.starting.kits import listen_address, open_kit, say_lost_policy
from mmar_runner.cli.starting.running_already import naming_who_runs
from mmar_runner.cli.starting.signals import stop_on_signals
from mmar_runner.errors import RunStoppedError
from mmar_runner.security.identity import Role
from mmar_runner.storage.memory import settle_memory

if TYPE_CHECKING:
    from mmar_runner.admin.office import OfficeOutcome
    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.security.kits.kit import StartupKit
    from mmar_runner.storage.durability import Durability

#: The mend if another process writes this server's audit log.
_RUNNING = "is this server running already? Stop it, or give this one a --workspace"


@dataclass(frozen=True, slots=True)
class Standing:
    """What the command line says; see the options of ``run-server``.

    Attributes:
        metrics: Where metrics are served already; None if nowhere.
    """

    kit: Path
    workspace: Path | None
    listen: str | None
    admin_listen: str | None
    session_idle: float | None
    keep_models: int | None
    durability: Durability
    variables: Mapping[str, Any]
    plugins_dir: Path | None
    metrics: str | None

    def settings(self) -> OfficeSettings:
        """Return what the server is started with.

        Raises:
            TrustError: The kit does not hold.
            UsageError: An address is none.
        """
        kit = open_kit(self.kit, Role.SERVER)
        say_lost_policy(kit)
        listen = listen_address(kit, self.listen)
        workspace = self.workspace or Path("workspace") / kit.identity.project
        plugins_dir = None if self.plugins_dir is None else self.plugins_dir.absolute()
        server = next(iter(kit.config["servers"]))
        return OfficeSettings(
            kit=kit,
            workspace=workspace.absolute(),
            listen=listen,
            admin_listen=self._admin(kit, listen),
            max_clients=server["max_num_clients"],
            idle_seconds=self.session_idle or IDLE_SECONDS,
            keep_models=self.keep_models,
            durability=self.durability,
            variables=self.variables,
            plugins_dir=plugins_dir,
            metrics=self.metrics,
        )

    def _admin(self, kit: StartupKit, listen: str) -> str:
        if self.admin_listen is not None:
            require_address(self.admin_listen, option="--admin-listen")
            return self.admin_listen
        port = next(iter(kit.config["servers"]))["admin_port"]
        return f"{listen.rpartition(':')[0]}:{port}"


def stand(standing: Standing, plugins: LoadedPlugins, observer: Observer, *, as_json: bool) -> None:
    """Stand until it is over; execute the same command again if that was ordered.

    Raises:
        RunStoppedError: A signal ended it; the same command goes on.
        MmarRunnerError: It cannot stand.
    """
    settings = standing.settings()
    settle_memory()
    with naming_who_runs(settings.workspace / "audit.jsonl", _RUNNING):
        outcome, stopped = asyncio.run(_stand(settings, plugins, observer))
    if as_json:
        echo_json({"reason": outcome.reason, "again": outcome.again})
    else:
        say(f"the server has ended: {outcome.reason}", err=True)
    if outcome.again:
        execute_again()
    if stopped:
        raise RunStoppedError(outcome.reason, hint="the same command goes on where it was")


async def _stand(
    settings: OfficeSettings, plugins: LoadedPlugins, observer: Observer
) -> tuple[OfficeOutcome, bool]:
    stop = asyncio.Event()
    stop_on_signals(stop)
    return await run_office(settings, plugins, observer, stop), stop.is_set()
