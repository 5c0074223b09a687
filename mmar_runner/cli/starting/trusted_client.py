# SPDX-License-Identifier: Apache-2.0
"""A client with a start-up kit: who it is, and what it may run."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmar_runner.admission.audit_line import MmarLine
from mmar_runner.admission.local import LocalMmar, admitted
from mmar_runner.admission.rules import rules_of
from mmar_runner.cli.starting.addresses import require_address
from mmar_runner.cli.starting.kits import open_kit, say_lost_policy
from mmar_runner.cli.starting.validated import require_valid
from mmar_runner.client.delivery.fetching import Delivery, fetch_mmar
from mmar_runner.client.settings import SessionSettings
from mmar_runner.client.trust import ClientTrust
from mmar_runner.errors import MmarRunnerError, MmarUnreadableError, UsageError
from mmar_runner.security.audit.log import held_open
from mmar_runner.security.identity import Role
from mmar_runner.security.policy.followed import FollowedPolicy

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator
    from pathlib import Path

    from mmar_runner.admission.admitting import Admission
    from mmar_runner.admission.rules import SiteRules
    from mmar_runner.cli.starting.client_site import ClientSite
    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.security.kits.kit import StartupKit


@dataclass(frozen=True, slots=True)
class TrustedClient:
    """A client that a start-up kit names.

    Attributes:
        kit: The kit.
        name: Its name in the federation.
        target: The server.
    """

    kit: StartupKit
    name: str
    target: str

    @classmethod
    def open(
        cls, kit_folder: Path, *, name: str | None, instance: int | None, server: str | None
    ) -> TrustedClient:
        """Return who a kit says this client is.

        Args:
            kit_folder: The start-up kit.
            name: What ``--name`` said; it can only be the kit's.
            instance: A further client of the same site, or None.
            server: Where the server is, if not where the kit says.

        Raises:
            TrustError: The kit does not hold.
            UsageError: Another name was asked for, or there is no address.
        """
        kit = open_kit(kit_folder, Role.CLIENT)
        own = kit.identity.name
        if name not in {None, own}:
            msg = f"the kit is {own!r}'s, not {name!r}'s"
            raise UsageError(msg, hint="leave out --name; --instance K makes a further client")
        target = server or kit.target
        if target is None:
            msg = f"nothing says where the server is: {kit_folder} names no target"
            raise UsageError(msg, hint="give --server HOST:PORT")
        require_address(target, option="--server")
        return cls(kit, own if instance is None else f"{own}_{instance}", target)

    def job(self, site: ClientSite) -> str:
        """Return what a workspace and a display are called after."""
        return self.kit.identity.project if site.mmar is None else site.mmar.resolve().name

    def local(self, site: ClientSite, mmar: Path) -> tuple[Admission, SiteRules]:
        """Admit a folder that the site itself put there.

        Raises:
            MmarError: It cannot be read, or has findings of severity error.
            TrustError: A rule refuses it.
        """
        workspace = site.workspace(self.job(site), self.name)
        say_lost_policy(self.kit)
        return admitted(
            LocalMmar(mmar, workspace, site.variables, self.name),
            site.plugins.registry,
            self.kit,
            lambda found: require_valid(mmar, found.validation),
        )

    @contextmanager
    def trust(self, site: ClientSite) -> Iterator[ClientTrust]:
        """Hold the audit log open for a session.

        Raises:
            AuditError: The log was altered, or another client of this name writes it.
        """
        workspace = site.workspace(self.job(site), self.name)
        with held_open(workspace / "audit.jsonl") as audit:
            memory, policy = self.kit.revocation_memory(), self.kit.policy
            followed = None if policy is None else FollowedPolicy(policy)
            yield ClientTrust(self.kit, memory, audit, self.target, followed)

    async def delivered(
        self,
        site: ClientSite,
        trust: ClientTrust,
        observer: Observer,
        stop: asyncio.Event,
        *,
        connect_timeout: float | None,
        waits: bool = False,
    ) -> tuple[Admission, SiteRules]:
        """Fetch and admit the MMAR that the server deploys; or wait until it deploys one.

        Raises:
            TrustError: A rule refuses it, or the connection is not to be trusted.
            MmarError: It cannot be read, or has findings of severity error.
            WireError: The server does not give it.
            UsageError: A policy cannot be read, or is wrong.
            RunStoppedError: ``stop`` was set.
        """
        say_lost_policy(self.kit)
        with MmarLine(trust, "run", self.kit).written_on_refusal(MmarRunnerError):
            rules = rules_of(self.kit)  # nothing runs without rules
        workspace = site.workspace(self.job(site), self.name)
        delivery = Delivery(
            trust,
            rules,
            workspace,
            self.name,
            site.variables,
            connect_timeout,
            waits,
        )
        return await fetch_mmar(delivery, site.plugins.registry, observer, stop), rules

    def session(
        self, site: ClientSite, admitted_here: tuple[Admission, SiteRules], trust: ClientTrust
    ) -> SessionSettings:
        """Return the settings of a session that runs what was admitted.

        Raises:
            MmarUnreadableError: It has no client.
        """
        admission, rules = admitted_here
        spec = admission.validation.spec_for(self.name)
        if spec is None or spec.client is None:
            msg = f"{admission.root} cannot be read as an MMAR with a client"
            raise MmarUnreadableError(msg)
        return SessionSettings(
            spec=spec,
            target=self.target,
            name=self.name,
            workspace=site.workspace(self.job(site), self.name),
            # The rules have spoken: code that is there was accepted.
            allow_byoc=True,
            tls=trust.tls,
            trust=trust,
        ).under(rules.policy)
