# SPDX-License-Identifier: Apache-2.0
"""A client without a kit: it is believed to be who it says, and that on loopback only."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from mmar_runner.cli.starting.addresses import is_loopback, require_loopback
from mmar_runner.cli.starting.kits import DEFAULT_ADDRESS
from mmar_runner.cli.starting.validated import validated
from mmar_runner.client.settings import SessionSettings
from mmar_runner.errors import UsageError

if TYPE_CHECKING:
    from mmar_runner.cli.starting.client_site import ClientSite
    from mmar_runner.mmar.spec import MmarSpec


#: A server's folders in a workspace that both may be given.
_RUN_FOLDER: Final = re.compile(r"run_\d+")


def believed_settings(
    site: ClientSite, client: str, server: str | None, *, allow_byoc: bool
) -> SessionSettings:
    """Return the settings of a client that is believed to be who it says.

    Args:
        site: What the command line says of it.
        client: Its name.
        server: What ``--server`` said, or None.
        allow_byoc: Whether the MMAR's own code may run.

    Raises:
        UsageError: There is no MMAR, or the server is not on loopback.
        MmarInvalidError: The MMAR has errors.
    """
    if site.mmar is None:
        msg = "without a start-up kit no MMAR can be taken from a server"
        raise UsageError(msg, hint="name the MMAR's folder, or give --kit")
    spec = validated(
        site.mmar, site.plugins, side="client", settings=site.variables, client_name=client
    )
    return SessionSettings(
        spec=spec,
        target=_target(server, spec),
        name=client,
        workspace=site.workspace(spec.name, client),
        allow_byoc=allow_byoc,
        allow_expressions=allow_byoc,
    )


def believed_name(
    name: str | None, instance: int | None, *, who: str = "client", example: str = "site-1"
) -> str:
    """Return what a client that nothing vouches for is called.

    Args:
        name: What ``--name`` said, or None.
        instance: Which client of that name it is, or None.
        who: What it is, for the sentence: a client, or a combiner.
        example: A name that it could have.

    Raises:
        UsageError: There is no name, or it can be no client's.
    """
    if not name:
        msg = f"without a start-up kit nothing says who this {who} is"
        raise UsageError(msg, hint=f"add --name, for example --name {example}")
    if "/" in name or name in {".", ".."}:
        msg = f"{name!r} cannot be a {who}'s name"
        raise UsageError(msg, hint=f"for example --name {example}")
    name = name if instance is None else f"{name}_{instance}"
    if _RUN_FOLDER.fullmatch(name):
        msg = f"{name!r} cannot be a client's name: a server calls the folders of its runs so"
        raise UsageError(msg, hint="for example --name site-1", reason="NAME_INVALID")
    return name


def _target(server: str | None, spec: MmarSpec) -> str:
    if server is not None:
        require_loopback(server, option="--server")
        return server
    declared = spec.target or ""
    host, _, port = declared.rpartition(":")
    return declared if is_loopback(host) and port.isdecimal() else DEFAULT_ADDRESS
