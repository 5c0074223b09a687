# SPDX-License-Identifier: Apache-2.0
"""What the owner of a start-up kit judges MMARs by."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mmar_runner.admission.examination import Question
from mmar_runner.security.identity import Role
from mmar_runner.security.policy.authorization import SERVER_SITE
from mmar_runner.security.policy.authorization_file import load_authorization
from mmar_runner.security.policy.judgement import Policies
from mmar_runner.security.policy.site_policy import SitePolicy, load_policy
from mmar_runner.security.signatures.context import SignatureContext
from mmar_runner.security.signatures.version_memory import VersionMemory

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from mmar_runner.security.kits.kit import StartupKit
    from mmar_runner.security.pki.revocation import RevocationList
    from mmar_runner.security.pki.trust_root import TrustRoot
    from mmar_runner.security.policy.authorization_file import Authorization
    from mmar_runner.security.policy.judgement import Origin


@dataclass(frozen=True, slots=True)
class SiteRules:
    """Everything that a site judges by.

    Attributes:
        site: Its name in the project's authorization; ``server`` for the server.
        trust_root: Whose signatures it knows.
        revocations: What no longer counts.
        authorization: The project's policy.
        policy: The site's own.
        versions: The highest versions that were accepted here.
        serves: Whether it is a combiner's, which uses the MMAR's server part.
    """

    site: str
    trust_root: TrustRoot
    revocations: RevocationList
    authorization: Authorization
    policy: SitePolicy
    versions: VersionMemory
    serves: bool = False

    def question(
        self,
        origin: Origin,
        now: datetime,
        *,
        site: str | None = None,
        own: bool = True,
        policy: SitePolicy | None = None,
        settings: Mapping[str, Any] | None = None,
        client_name: str | None = None,
    ) -> Question:
        """Return what a site asks before an MMAR runs, or is deployed, there.

        Args:
            origin: ``local`` or ``delivered``.
            now: The present time, with a time zone.
            site: Where; None for here.
            own: False for somebody else's site: what this one asks for and remembers, such
                as two signatures, says nothing of another.
            policy: The site's policy, if it is another than the one known here.
            settings: The ``--set`` values.
            client_name: As which client it would run; None for the site's own name.
        """
        where = site or self.site
        known = policy or (self.policy if own else None)
        is_server = where == SERVER_SITE
        context = SignatureContext(
            site=None if is_server else where,
            trust_root=self.trust_root,
            revocations=self.revocations,
            policy=known or SitePolicy(),
            now=now,
            origin=origin,
            versions=self.versions.known() if own else {},
        )
        return Question(
            action="upload" if is_server else "run",
            site=where,
            policies=Policies(self.authorization, known),
            context=context,
            settings=settings or {},
            client_name=client_name,
            serves=self.serves and where == self.site,
        )


def rules_of(kit: StartupKit) -> SiteRules:
    """Return what the owner of a kit judges MMARs by.

    Without a policy of its own the defaults hold: no code, no class paths.

    Raises:
        UsageError: A policy file cannot be read, or is wrong.
        SignatureError: The list of revocations is not the project's.
        StorageError: A file of the kit cannot be read.
    """
    policy = SitePolicy()
    if kit.policy is not None and lost_policy(kit) is None:
        policy = load_policy(kit.policy)
    return SiteRules(
        site=site_of(kit),
        trust_root=kit.trust_root,
        revocations=kit.revocation_memory().current,
        authorization=load_authorization(kit.authorization),
        policy=policy,
        versions=VersionMemory(kit.state_folder / "versions.json"),
        serves=kit.identity.role is Role.COMBINER,
    )


def site_of(kit: StartupKit) -> str:
    """Return what the project's authorization calls the owner of a kit."""
    return SERVER_SITE if kit.identity.role is Role.SERVER else kit.identity.name


def lost_policy(kit: StartupKit) -> Path | None:
    """Return where the owner's policy should be, if nothing is there.

    A link that leads nowhere is no absent policy: the site has one, and it cannot be read.
    """
    path = kit.policy
    return None if path is None or os.path.lexists(path) else path
