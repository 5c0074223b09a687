# SPDX-License-Identifier: Apache-2.0
"""Start-up kits on the command line: which kit, and which address it stands for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from mmar_runner.cli.output import say
from mmar_runner.cli.starting.addresses import is_loopback, require_address, require_loopback
from mmar_runner.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.security.identity import Role
    from mmar_runner.security.kits.kit import StartupKit

DEFAULT_ADDRESS: Final = "127.0.0.1:8002"
_ANY_ADDRESS: Final = "0.0.0.0"  # noqa: S104 - a server with certificates serves the network


def open_kit(folder: Path, role: Role) -> StartupKit:
    """Return a start-up kit that was checked.

    Raises:
        NoKitError: There is none in that folder.
        KitError: It is incomplete, altered, too open, or somebody else's.
        CertificateError: Its certificate does not hold.
    """
    # Deferred: whoever speaks plain text needs no cryptography.
    from mmar_runner.security.kits.kit import load_kit  # noqa: PLC0415

    return load_kit(folder, role, now=datetime.now(UTC))


def say_lost_policy(kit: StartupKit) -> None:
    """Say on stderr that a kit's owner has lost its policy: nobody would see that otherwise."""
    from mmar_runner.admission.rules import lost_policy  # noqa: PLC0415 - as above

    if (path := lost_policy(kit)) is not None:
        lost = "the defaults hold (no code, no class paths), and no block or filter of a lost one"
        say(f"warning: there is no {path}: {lost}", err=True)


def require_kit_or_insecure(kit: Path | None, *, insecure: bool) -> None:
    """Refuse both and neither of ``--kit`` and ``--insecure``.

    Raises:
        UsageError: Plain text was not asked for, or besides certificates.
    """
    if kit is not None and insecure:
        msg = "--kit and --insecure exclude each other"
        raise UsageError(msg, hint="leave out --insecure: the kit's certificates protect it")
    if kit is None and not insecure:
        msg = "without a start-up kit this would speak plain text, which must be asked for"
        hint = "give --kit DIR (`mmar-runner provision` makes kits), or --insecure on loopback"
        raise UsageError(msg, hint=hint)


def listen_address(kit: StartupKit | None, listen: str | None) -> str:
    """Return where a server listens: the option, else the kit, else loopback.

    A kit for a server on this machine listens on loopback, any other on all addresses.

    Raises:
        UsageError: The option is no address, or not loopback without a kit.
    """
    if kit is None:
        require_loopback(listen or DEFAULT_ADDRESS, option="--listen")
        return listen or DEFAULT_ADDRESS
    if listen is not None:
        require_address(listen, option="--listen")
        return listen
    host, _, port = (kit.target or DEFAULT_ADDRESS).rpartition(":")
    return f"127.0.0.1:{port}" if is_loopback(host) else f"{_ANY_ADDRESS}:{port}"
