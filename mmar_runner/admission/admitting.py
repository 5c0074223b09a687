# SPDX-License-Identifier: Apache-2.0
"""The one way from a folder to something that may run: copy, verify, validate, judge.

It is the same at the server and at every site, for a folder that was put there by hand
and for a package that was delivered. Nothing of the MMAR is imported on the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmar_runner.admission.examination import examine
from mmar_runner.errors import MmarError
from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.folder import open_folder
from mmar_runner.mmar.manifest import list_files
from mmar_runner.security.listing import SIGNATURE_FILE
from mmar_runner.security.signatures.context import SeenVersion

if TYPE_CHECKING:
    from datetime import datetime

    from mmar_runner.admission.examination import Examination
    from mmar_runner.admission.rules import SiteRules
    from mmar_runner.interfaces.catalog import ComponentCatalog
    from mmar_runner.mmar.folder import MmarFolder
    from mmar_runner.mmar.validation import Validation
    from mmar_runner.security.decision import Decision
    from mmar_runner.security.listing import HashedFile
    from mmar_runner.security.packages.mmar_store import MmarStore
    from mmar_runner.security.policy.judgement import Origin
    from mmar_runner.security.signatures.manifest import SignedManifest


@dataclass(frozen=True, slots=True)
class Admission:
    """An MMAR that was looked at, and what may be done with it.

    Attributes:
        root: What was looked at; after `admit` a read-only copy, which runs if it is accepted.
        validation: What the validator says of it.
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


def admit(
    source: Path,
    catalog: ComponentCatalog,
    rules: SiteRules,
    store: MmarStore,
    *,
    origin: Origin,
    now: datetime,
    settings: Mapping[str, Any] | None = None,
    client_name: str | None = None,
) -> Admission:
    """Copy an MMAR into the store, look at the copy, and decide.

    A version is remembered only if the copy is accepted and free of errors. Of an MMAR that
    is refused no copy stays, and beside one that is accepted only those that a process runs.

    Args:
        source: The MMAR's folder.
        catalog: What is installed.
        rules: What the site judges by.
        store: Where copies lie.
        origin: ``local`` or ``delivered``.
        now: The present time, with a time zone.
        settings: The ``--set`` values.
        client_name: As which client it would run; None for the site's own name.

    Raises:
        MmarUnreadableError: There is no MMAR.
        MmarError: UNSAFE_ENTRY, something in it is neither a plain file nor a folder.
        SignatureError: FORMAT, the signature file is too large.
        StorageError: The copy cannot be made.
    """
    copied = _copy(source, store)
    listing = list_files(open_folder(copied, Findings()))
    # A copy gets its name only now: what is looked at next is what would run.
    root = store.keep(copied, listing.digest)
    question = rules.question(origin, now, settings=settings, client_name=client_name)
    accepted = False
    try:
        found = examine(root, catalog, question, lambda: listing)
        accepted = found.accepted
    finally:
        if not accepted:
            store.remove(root)
    manifest = found.signatures.manifest
    if accepted:
        store.prune({listing.digest})
    if accepted and manifest is not None:
        seen = SeenVersion(manifest.version, manifest.digest)
        rules.versions.remember(manifest.project, manifest.name, seen)
    return _admission(root, found)


def look_at(
    folder: Path,
    catalog: ComponentCatalog,
    rules: SiteRules,
    hashed: Mapping[str, HashedFile],
    *,
    origin: Origin,
    now: datetime,
    settings: Mapping[str, Any] | None = None,
) -> Admission:
    """Decide about an MMAR that this process has just written where nobody else writes.

    The same as `admit`, without a copy, which such a folder need not have; nothing is remembered,
    and nothing of it may run before `admit` has looked at it.

    Args:
        folder: The MMAR's folder.
        catalog: What is installed.
        rules: What the site judges by.
        hashed: What its files hold, by path, as they were written.
        origin: ``local`` or ``delivered``.
        now: The present time, with a time zone.
        settings: The ``--set`` values.

    Raises:
        MmarUnreadableError: There is no MMAR.
        MmarError: UNSAFE_ENTRY, something in it is neither a plain file nor a folder.
        SignatureError: FORMAT, the signature file is too large.
    """
    surveyed = _plain(folder)
    listing = list_files(surveyed, hashed)
    question = rules.question(origin, now, settings=settings)
    return _admission(surveyed.root, examine(folder, catalog, question, lambda: listing))


def _admission(root: Path, found: Examination) -> Admission:
    signatures = found.signatures
    return Admission(root, found.validation, found.decision, signatures.owners, signatures.manifest)


def _plain(source: Path) -> MmarFolder:
    folder = open_folder(source, Findings())
    if folder.unlisted:
        msg = f"{source} holds what is no plain file: {folder.unlisted[0]}"
        raise MmarError(msg, hint="remove it, or put the file itself there", reason="UNSAFE_ENTRY")
    return folder


def _copy(source: Path, store: MmarStore) -> Path:
    folder = _plain(source)
    files = {file: partial(folder.open, file) for file in folder.contents}
    if (folder.root / SIGNATURE_FILE).is_file():
        files[SIGNATURE_FILE] = partial(folder.open, SIGNATURE_FILE)
    return store.stage(folder.root.name, files)
