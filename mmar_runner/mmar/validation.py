# SPDX-License-Identifier: Apache-2.0
"""The whole check of an MMAR: everything that can be known, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmar_runner.interfaces.catalog import ComponentCatalog
from mmar_runner.mmar import build, sources
from mmar_runner.mmar.byoc import ByocModules
from mmar_runner.mmar.codes import Severity
from mmar_runner.mmar.components import Resolver
from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.folder import MmarFolder, open_folder
from mmar_runner.mmar.manifest import manifest, manifest_digest
from mmar_runner.mmar.report import Report
from mmar_runner.mmar.sources import Side, Sources
from mmar_runner.mmar.spec import MmarSpec
from mmar_runner.mmar.variables import ANY_CLIENT


@dataclass(frozen=True, slots=True)
class Validation:
    """The outcome of a check.

    Attributes:
        report: What was found.
        spec: What the MMAR says; a side that has errors, or was not asked for, is
            None in it. None if it is another system's.
    """

    report: Report
    spec: MmarSpec | None
    _check: _Check

    def spec_for(self, client_name: str) -> MmarSpec | None:
        """Return the specification as one client sees it, without checking again.

        Only what the runner defines for a client (CLIENT_NAME, SITE_INDEX,
        NUM_SITES) differs.
        """
        return self._check.spec_for(client_name)


def validate(
    folder: Path,
    catalog: ComponentCatalog,
    *,
    side: Side = "all",
    settings: Mapping[str, Any] | None = None,
    policy: Path | None = None,
    strict: bool = False,
    client_name: str = ANY_CLIENT,
) -> Validation:
    """Check an MMAR completely.

    Args:
        folder: The MMAR.
        catalog: What is installed.
        side: Which side's components must be there.
        settings: The ``--set`` values.
        policy: A site policy to judge it by.
        strict: Treat it as if its server file said ``"strict": true``.
        client_name: The client whose variables are put in.

    Raises:
        MmarUnreadableError: There is nothing to check at that path.
        UsageError: The policy cannot be read.
    """
    check = _Check(folder, catalog, side, dict(settings or {}))
    spec = check.run(client_name)
    findings = check.findings.result(strict=strict or check.says_strict())
    valid = not any(f.severity is Severity.ERROR for f in findings)
    report = Report(
        mmar=str(folder),
        generation=check.sources.generation,
        valid=valid,
        deployable=valid,
        byoc=check.byoc.present,
        digest=check.digest,
        findings=tuple(findings),
    )
    return Validation(report, spec, check)


class _Check:
    """One check of one MMAR."""

    def __init__(
        self, folder: Path, catalog: ComponentCatalog, side: Side, settings: dict[str, Any]
    ) -> None:
        self.findings = Findings()
        self._side = side
        self._catalog = catalog
        self._settings = settings
        self._folder: MmarFolder = open_folder(folder, self.findings)
        self.byoc = ByocModules(self._folder)
        self._parsed = sources.parse_files(self._folder, self.findings)
        self.sources: Sources = sources.prepare(self._parsed, settings, ANY_CLIENT, Findings())
        self.digest = ""

    def says_strict(self) -> bool:
        server = self.sources.server
        return server is not None and server.value.get("strict") is True

    def run(self, client_name: str) -> MmarSpec | None:
        self.digest = manifest_digest(manifest(self._folder))
        self.byoc.report(self.findings)
        return self._look(client_name, self.findings)

    def spec_for(self, client_name: str) -> MmarSpec | None:
        return self._look(client_name, Findings())

    def _look(self, client_name: str, findings: Findings) -> MmarSpec | None:
        files = sources.prepare(self._parsed, self._settings, client_name, findings)
        self.sources = files
        if files.generation is None:
            return None
        resolver = Resolver(self._catalog, self.byoc, findings)
        spec = self._frame(files)
        if files.server is not None and self._side != "client":
            parts = build.resolve_server(files.server, resolver)
            if files.server.file in files.sound:
                spec = replace(spec, server=build.server_spec(files.server, parts))
        if files.client is not None and self._side != "server":
            parts = build.resolve_client(files.client, resolver)
            if files.client.file in files.sound:
                name = files.server.get(("servers", 0, "name"), "") if files.server else ""
                spec = replace(spec, client=build.client_spec(files.client, parts, name))
        return spec

    def _frame(self, files: Sources) -> MmarSpec:
        train = files.train.value if files.train else {}
        determinism = train.get("determinism")
        seed = determinism.get("random_seed") if isinstance(determinism, dict) else None
        target = files.client.get(("servers", 0, "service", "target")) if files.client else None
        assert files.generation is not None
        return MmarSpec(
            name=self._folder.root.name,
            root=self._folder.root,
            generation=files.generation,
            digest=self.digest,
            byoc=self.byoc.present,
            train_config=train,
            validation_config=files.validation.value if files.validation else {},
            variables=files.variables.common(),
            seed=seed if isinstance(seed, int) else 0,
            target=target if isinstance(target, str) else None,
        )
