# SPDX-License-Identifier: Apache-2.0
"""Who a combiner is to its clients and to its parent: by its kit, or believed on loopback."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.cli.starting.addresses import (
    is_loopback,
    require_address,
    require_loopback,
    with_port,
)
from mmar_runner.cli.starting.believed_client import believed_name
from mmar_runner.cli.starting.kits import open_kit
from mmar_runner.cli.starting.outside import workspace_of
from mmar_runner.cli.starting.running_already import naming_who_runs
from mmar_runner.cli.starting.validated import validated
from mmar_runner.client.connection.outage import mend
from mmar_runner.client.settings import SessionSettings
from mmar_runner.combiner.run import CombinerSettings
from mmar_runner.errors import UsageError
from mmar_runner.security.identity import Role
from mmar_runner.server.settings import ServerSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mmar_runner.client.trust import ClientTrust
    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.mmar.spec import MmarSpec
    from mmar_runner.security.kits.kit import StartupKit
    from mmar_runner.server.trust import ServerTrust
    from mmar_runner.storage.durability import Durability

#: The folder of the session, beside the runs of the server.
_UPWARD: Final = "parent"
_ANY_PORT: Final = "127.0.0.1:0"
_ANY_ADDRESS: Final = "0.0.0.0"  # noqa: S104 - a server with certificates serves the network
_RUNNING: Final = "is this combiner running already? Stop it, or give this one a --workspace"


@dataclass(frozen=True, slots=True)
class CombinerSides:
    """What the command line says of a combiner.

    Attributes:
        mmar: The MMAR's folder.
        name: What ``--name`` said, or None.
        parent: What ``--parent`` said, or None.
        listen: What ``--listen`` said, or None.
        workspace: What ``--workspace`` said, or None.
        min_clients: What ``--min-clients`` said, or None.
        variables: The ``--set`` values.
        durability: Of receipts.
        plugins_dir: A folder of one-file plugins, or None.
        connect_timeout: Seconds to try to reach the parent the first time, or None.
    """

    mmar: Path
    name: str | None
    parent: str | None
    listen: str | None
    workspace: Path | None
    min_clients: int | None
    variables: Mapping[str, Any]
    durability: Durability
    plugins_dir: Path | None
    connect_timeout: float | None

    def believed(self, plugins: LoadedPlugins) -> CombinerSettings:
        """Return the settings of a combiner that is believed to be who it says, on loopback.

        Raises:
            UsageError: There is no name or parent, or an address is not loopback.
            MmarInvalidError: The MMAR has errors.
        """
        name = believed_name(self.name, None, who="combiner", example="east")
        if self.parent is None:
            msg = "without a start-up kit nothing says where the parent is"
            raise UsageError(msg, hint="add --parent HOST:PORT, for example 127.0.0.1:8002")
        require_loopback(self.parent, option="--parent")
        listen = self.listen or _ANY_PORT
        require_loopback(listen, option="--listen")
        listen = with_port(listen)  # its parent is told before it listens
        spec = validated(self.mmar, plugins, side="server", settings=self.variables)
        return self._settings(spec, name, (self.parent, listen), self._folder(spec.name, name))

    @contextmanager
    def trusted(self, kit_folder: Path, plugins: LoadedPlugins) -> Iterator[CombinerSettings]:
        """Give the settings of a combiner that a start-up kit names, and hold its logs open.

        Raises:
            TrustError: The kit does not hold, or a rule refuses the MMAR here.
            MmarError: The MMAR cannot be read, or has errors.
            UsageError: Another name was asked for, or an address is none.
            AuditError: A log was altered, or another combiner of this name writes it.
        """
        # Deferred: whoever speaks plain text needs no cryptography.
        from mmar_runner.admission.local import LocalMmar  # noqa: PLC0415
        from mmar_runner.cli.starting.trusted_server import open_trust  # noqa: PLC0415 - as above
        from mmar_runner.client.trust import ClientTrust  # noqa: PLC0415 - as above
        from mmar_runner.security.audit.log import held_open  # noqa: PLC0415 - as above

        kit = open_kit(kit_folder, Role.COMBINER)
        name = kit.identity.name
        if self.name not in {None, name}:
            msg = f"the kit is {name!r}'s, not {self.name!r}'s"
            raise UsageError(msg, hint="leave out --name")
        addresses = self._addresses(kit)
        folder = self._folder(self.mmar.resolve().name, name)
        local = LocalMmar(self.mmar, folder, self.variables)
        with naming_who_runs(folder / "audit.jsonl", _RUNNING):
            spec, served = open_trust(kit_folder, local, plugins, Role.COMBINER)
        upward = folder / _UPWARD
        upward.mkdir(parents=True, exist_ok=True)
        with held_open(upward / "audit.jsonl") as audit:
            trust = ClientTrust(kit, kit.revocation_memory(), audit, addresses[0])
            least = self.min_clients or kit.config["combiner"].get("min_num_clients")
            made = replace(self, min_clients=least)
            yield made._settings(spec, name, addresses, folder, trust=(served, trust))  # noqa: SLF001

    def _addresses(self, kit: StartupKit) -> tuple[str, str]:
        """Return where the parent is, and where to listen."""
        parent, own = self.parent or kit.target, self.listen or kit.own_target
        if parent is None or own is None:
            msg = f"{kit.folder} names no parent, or no address of its own"
            raise UsageError(msg, hint="give --parent and --listen")
        require_address(parent, option="--parent")
        require_address(own, option="--listen")
        own = with_port(own)
        if self.listen is None:
            host, _, port = own.rpartition(":")
            own = f"{'127.0.0.1' if is_loopback(host) else _ANY_ADDRESS}:{port}"
        return parent, own

    def _serves_at(self, listen: str, trust: tuple[ServerTrust, ClientTrust] | None) -> str:
        """Return where clients call this combiner: where it listens, unless that is everywhere."""
        own = None if trust is None else trust[1].kit.own_target
        return own if own is not None and self.listen is None else listen

    def _folder(self, mmar: str, name: str) -> Path:
        return workspace_of(self.workspace, f"{mmar}/{name}", self.mmar)

    def _settings(
        self,
        spec: MmarSpec,
        name: str,
        addresses: tuple[str, str],
        folder: Path,
        *,
        trust: tuple[ServerTrust, ClientTrust] | None = None,
    ) -> CombinerSettings:
        parent, listen = addresses
        plugins_dir = None if self.plugins_dir is None else self.plugins_dir.absolute()
        spec = with_minimum(spec, self.min_clients)
        server = ServerSettings(
            spec=spec,
            workspace=folder,
            listen=listen,
            durability=self.durability,
            variables=self.variables,
            plugins_dir=plugins_dir,
            trust=None if trust is None else trust[0],
        )
        session = SessionSettings(
            spec=spec,
            target=parent,
            name=name,
            workspace=folder / _UPWARD,
            plugins_dir=plugins_dir,
            connect_timeout=self.connect_timeout,
            tls=None if trust is None else trust[1].tls,
            trust=None if trust is None else trust[1],
            combines=True,
            serves_at=self._serves_at(listen, trust),
            reach_hint=mend("parent"),
        )
        return CombinerSettings(server, session)


def with_minimum(spec: MmarSpec, min_clients: int | None) -> MmarSpec:
    """Return an MMAR with another minimum of clients; None leaves it.

    Raises:
        UsageError: It is more than may come.
    """
    if min_clients is None or spec.server is None:
        return spec
    if min_clients > spec.server.max_num_clients:
        most = spec.server.max_num_clients
        msg = f"a round is to need {min_clients} clients, and max_num_clients is {most}"
        raise UsageError(msg, hint="give fewer with --min-clients, or raise max_num_clients")
    return replace(spec, server=replace(spec.server, min_num_clients=min_clients))
