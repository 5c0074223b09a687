# SPDX-License-Identifier: Apache-2.0
"""What an upgrade changes in the configuration files of an MMAR: the new texts, and a list."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import MmarInvalidError
from mmar_runner.mmar.code.byoc import ByocModules
from mmar_runner.mmar.codes import Severity
from mmar_runner.mmar.components.resolving import Resolver
from mmar_runner.mmar.document import Document
from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.reports.as_json import finding_json
from mmar_runner.mmar.sources import configuration as sources
from mmar_runner.mmar.sources.generation import generation_of
from mmar_runner.mmar.sources.renewal import renew_client, renew_server
from mmar_runner.mmar.sources.tensorflow import is_own_trainer, mark_of
from mmar_runner.mmar.sources.upgrade import upgrade_client, upgrade_server
from mmar_runner.mmar.spec import Generation
from mmar_runner.mmar.upgrading import names
from mmar_runner.mmar.upgrading.text import document_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mmar_runner.interfaces.catalog import ComponentCatalog, ComponentDescription
    from mmar_runner.mmar.finding import Finding
    from mmar_runner.mmar.folder import MmarFolder

#: What is a change, and not something to be decided.
_CHANGES: Final = frozenset(
    {"MMAR210", "MMAR211", "MMAR212", "MMAR213", "MMAR222", "MMAR515", "MMAR612"}
)


@dataclass(slots=True)
class Plan:
    """What is written anew.

    Attributes:
        generation: Of the archive as it is.
        texts: New content by file, of those that change.
        changes: Every change, in the order of the files.
    """

    generation: Generation
    texts: dict[str, str] = field(default_factory=dict)
    changes: list[Finding] = field(default_factory=list)


def plan_upgrade(folder: MmarFolder, catalog: ComponentCatalog) -> Plan:
    """Return what an upgrade of a folder changes; nothing is written.

    Args:
        folder: The MMAR as it was surveyed.
        catalog: What is installed: components get the names that it knows.

    Raises:
        MmarInvalidError: A configuration file cannot be read as it is meant to be, or is
            another system's.
    """
    findings = Findings()
    parsed = sources.parse_files(folder, findings)
    _require_sound(findings.result(strict=False))
    byoc = ByocModules(folder)
    plan = Plan(Generation.CLARA_4)
    readers: list[ComponentDescription] = []
    for file, places in ((sources.SERVER, names.SERVER), (sources.CLIENT, names.CLIENT)):
        if file in parsed:
            document, found = _working_copy(parsed[file]), Findings()
            _renew(document, plan, found)
            readers += names.renamed(document, places, Resolver(catalog, byoc, found))
            _take(plan, document, found)
    for file in (sources.TRAIN, sources.VALIDATION, sources.VALIDATION_CKPT):
        if file in parsed and not _is_tensorflow(parsed, file):
            document, found = _working_copy(parsed[file]), Findings()
            for reader in readers:
                what = "train" if file == sources.TRAIN else "validation"
                names.renamed_parts(document, reader, what, Resolver(catalog, byoc, found))
            _take(plan, document, found)
    return plan


def _require_sound(found: Iterable[Finding]) -> None:
    wrong = [finding for finding in found if finding.severity is Severity.ERROR]
    if wrong:
        message = f"{wrong[0].file} cannot be read as it stands: {wrong[0].message}"
        hint = "mend what validate-mmar finds in the files, and upgrade then"
        raise MmarInvalidError(
            message, hint=hint, findings=[finding_json(finding) for finding in wrong]
        )


def _working_copy(original: Document) -> Document:
    return Document(original.file, original.source, deepcopy(original.value))


def _renew(document: Document, plan: Plan, found: Findings) -> None:
    """Bring a federated file into the words of today, its variables as they are."""
    generation = generation_of(document, found)
    if generation is None:
        _require_sound(found.result(strict=False))
        return
    of_server = document.file == sources.SERVER
    if generation is Generation.CLARA_3:
        plan.generation = generation
        (upgrade_server if of_server else upgrade_client)(document, found)
    (renew_server if of_server else renew_client)(document, found)


def _take(plan: Plan, document: Document, found: Findings) -> None:
    """Put a document's new text into the plan, if anything in it changed."""
    if document.value == document.source.value:
        return
    plan.texts[document.file] = document_text(document)
    plan.changes += [f for f in found.result(strict=False) if f.code in _CHANGES]


def _is_tensorflow(parsed: Mapping[str, Document], file: str) -> bool:
    own = is_own_trainer(parsed.get(sources.CLIENT))
    return not own and mark_of(parsed[file].value) is not None
