# SPDX-License-Identifier: Apache-2.0
"""The one way from a folder to something that may run: copy, verify, validate, judge.

It is the same at the server and at every site, for a folder that was put there by hand
and for a package that was delivered. Nothing of the MMAR is imported on the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmar_runner.errors import MmarError
from mmar_runner.mmar.checks_policy import missing_filters
from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.folder import open_folder
from mmar_runner.mmar.manifest import list_files, read_signature
from mmar_runner.mmar.validation import validate
from mmar_runner.mmar.variables import ANY_CLIENT
from mmar_runner.security.listing import SIGNATURE_FILE
from mmar_runner.security.policy.judgement import MmarRequest, Policies, judge
from mmar_runner.security.signatures.check import check_signatures
from mmar_runner.security.signatures.context import SeenVersion, SignatureContext
from mmar_runner.security.signatures.rules import audience

if TYPE_CHECKING:
    from datetime import datetime

    from mmar_runner.interfaces.catalog import ComponentCatalog
    from mmar_runner.mmar.sources import Side
    from mmar_runner.mmar.validation import Validation
    from mmar_runner.security.decision import Decision
    from mmar_runner.security.packages.mmar_store import MmarStore
    from mmar_runner.security.pki.revocation import RevocationList
    from mmar_runner.security.pki.trust_root import TrustRoot
    from mmar_runner.security.policy.authorization_file import Authorization
    from mmar_runner.security.policy.judgement import Origin
    from mmar_runner.security.policy.site_policy import SitePolicy
    from mmar_runner.security.signatures.check import SignatureReport
    from mmar_runner.security.signatures.manifest import SignedManifest
    from mmar_runner.security.signatures.version_memory import VersionMemory

#: How the project's authorization calls the server's own site.
SERVER_SITE = "server"


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
    """

    site: str
    trust_root: TrustRoot
    revocations: RevocationList
    authorization: Authorization
    policy: SitePolicy
    versions: VersionMemory


@dataclass(frozen=True, slots=True)
class Admission:
    """An MMAR that was looked at, and what may be done with it.

    Attributes:
        root: The read-only copy that was looked at, and that runs if it is accepted.
        validation: What the validator says of the copy.
        decision: What the rules say of it.
        signers: E-mail addresses of those whose signatures count.
        manifest: What they signed; None if the site's own word stands in for it.
    """

    root: Path
    validation: Validation
    decision: Decision
    signers: tuple[str, ...]
    manifest: SignedManifest | None = None

    @property
    def digest(self) -> str:
        """What the MMAR is known by."""
        return self.validation.listing.digest


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found by looking at an MMAR where it lies.

    Attributes:
        validation: What the validator says of it.
        signatures: What the rules about its signatures say.
        decision: What all rules together say.
    """

    validation: Validation
    signatures: SignatureReport
    decision: Decision


def examine(
    root: Path,
    catalog: ComponentCatalog,
    rules: SiteRules,
    *,
    side: Side,
    action: str,
    origin: Origin,
    now: datetime,
    settings: Mapping[str, Any] | None = None,
) -> Examination:
    """Look at an MMAR and decide; nothing is copied, remembered or imported.

    Args:
        root: The MMAR's folder.
        catalog: What is installed.
        rules: What the site judges by.
        side: Which side must be runnable.
        action: What is to be done, a key of `authorization.ACTIONS`.
        origin: ``local`` or ``delivered``.
        now: The present time, with a time zone.
        settings: The ``--set`` values.

    Raises:
        MmarUnreadableError: There is no MMAR.
        SignatureError: FORMAT, the signature file is too large.
    """
    client = ANY_CLIENT if rules.site == SERVER_SITE else rules.site  # judged as it will run
    validation = validate(root, catalog, side=side, settings=settings, client_name=client)
    context = SignatureContext(
        site=None if rules.site == SERVER_SITE else rules.site,
        trust_root=rules.trust_root,
        revocations=rules.revocations,
        policy=rules.policy,
        now=now,
        origin=origin,
        versions=rules.versions.known(),
    )
    signatures = check_signatures(
        validation.listing, read_signature(open_folder(root, Findings())), context
    )
    request = MmarRequest(
        action, signatures.owners, rules.site, origin, validation.facts, signatures.steps
    )
    missing = frozenset() if side == "server" else missing_filters(rules.policy, catalog)
    decision = judge(request, Policies(rules.authorization, rules.policy, missing))
    return Examination(validation, signatures, decision)


def admit(
    source: Path,
    catalog: ComponentCatalog,
    rules: SiteRules,
    store: MmarStore,
    *,
    side: Side,
    action: str,
    origin: Origin,
    now: datetime,
    settings: Mapping[str, Any] | None = None,
) -> Admission:
    """Copy an MMAR into the store, look at the copy, and decide.

    A version is remembered only if the copy is accepted and free of errors. Of a delivered
    MMAR that is refused, no copy stays.

    Args:
        source: The MMAR's folder.
        catalog: What is installed.
        rules: What the site judges by.
        store: Where copies lie.
        side: Which side must be runnable.
        action: What is to be done, a key of `authorization.ACTIONS`.
        origin: ``local`` or ``delivered``.
        now: The present time, with a time zone.
        settings: The ``--set`` values.

    Raises:
        MmarUnreadableError: There is no MMAR.
        MmarError: UNSAFE_ENTRY, something in it is neither a plain file nor a folder.
        SignatureError: FORMAT, the signature file is too large.
        StorageError: The copy cannot be made.
    """
    copied = _copy(source, store)
    # A copy gets its name only now: what is looked at next is what would run.
    root = store.keep(copied, _digest(copied))
    accepted = False
    try:
        found = examine(
            root,
            catalog,
            rules,
            side=side,
            action=action,
            origin=origin,
            now=now,
            settings=settings,
        )
        accepted = found.decision.accepted and found.validation.report.valid
    finally:
        if origin == "delivered" and not accepted:
            store.remove(root)
    manifest = found.signatures.manifest
    if accepted and manifest is not None:
        seen = SeenVersion(manifest.version, manifest.digest)
        rules.versions.remember(manifest.project, manifest.name, seen)
    return Admission(root, found.validation, found.decision, found.signatures.owners, manifest)


def decide_for_sites(admission: Admission, authorization: Authorization) -> dict[str, Decision]:
    """Return what project and signers say of deploying an MMAR to every client's site.

    A site has the last word all the same: it judges by its own policy too.
    """
    sites = sorted(site for site in authorization.sites if site != SERVER_SITE)
    return {site: _deployed(admission, authorization, site) for site in sites}


def _deployed(admission: Admission, authorization: Authorization, site: str) -> Decision:
    facts = admission.validation.facts
    request = MmarRequest("deploy", admission.signers, site, "delivered", facts)
    decision = judge(request, Policies(authorization, None))
    if admission.manifest is None:
        return decision
    return replace(decision, steps=(audience(admission.manifest, site), *decision.steps))


def _digest(copied: Path) -> str:
    return list_files(open_folder(copied, Findings())).digest


def _copy(source: Path, store: MmarStore) -> Path:
    folder = open_folder(source, Findings())
    if folder.unlisted:
        msg = f"{source} holds what is no plain file: {folder.unlisted[0]}"
        raise MmarError(msg, hint="remove it, or put the file itself there", reason="UNSAFE_ENTRY")
    files = {file: partial(folder.open, file) for file in folder.contents}
    if (folder.root / SIGNATURE_FILE).is_file():
        files[SIGNATURE_FILE] = partial(folder.open, SIGNATURE_FILE)
    return store.stage(folder.root.name, files)
