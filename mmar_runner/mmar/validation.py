# SPDX-License-Identifier: Apache-2.0
"""The whole check of an MMAR: everything that can be known, before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmar_runner.mmar.checks.available import check_available
from mmar_runner.mmar.checks.budgets import check_budgets
from mmar_runner.mmar.checks.bundles import BundleFacts, check_bundles
from mmar_runner.mmar.checks.case import Asked, Look
from mmar_runner.mmar.checks.combinations import check_combinations
from mmar_runner.mmar.checks.entry_points import Commands, check_entry_points
from mmar_runner.mmar.checks.expressions import check_expressions
from mmar_runner.mmar.checks.facts import gather_facts
from mmar_runner.mmar.checks.files import check_files
from mmar_runner.mmar.checks.filters import check_filters
from mmar_runner.mmar.checks.fit import check_fit
from mmar_runner.mmar.checks.held_out import check_held_out
from mmar_runner.mmar.checks.idle import check_idle
from mmar_runner.mmar.checks.key_metric import name_key_metric
from mmar_runner.mmar.checks.logging_config import read_levels
from mmar_runner.mmar.checks.metrics import check_metrics
from mmar_runner.mmar.checks.models import check_models
from mmar_runner.mmar.checks.parts import check_parts
from mmar_runner.mmar.checks.policy import check_policy
from mmar_runner.mmar.checks.references import check_references
from mmar_runner.mmar.checks.rounds import check_rounds
from mmar_runner.mmar.checks.secrets import check_secrets
from mmar_runner.mmar.checks.signature import check_signature
from mmar_runner.mmar.checks.tensorflow import check_tensorflow
from mmar_runner.mmar.checks.train import bring_up_to_date, check_train
from mmar_runner.mmar.checks.tree import check_tree
from mmar_runner.mmar.checks.unfilled import unfilled
from mmar_runner.mmar.code.byoc import ByocModules
from mmar_runner.mmar.codes import Severity
from mmar_runner.mmar.components import build
from mmar_runner.mmar.components.older_code import constants, provided
from mmar_runner.mmar.components.resolving import Resolver
from mmar_runner.mmar.finding import Finding, Findings
from mmar_runner.mmar.folder import open_folder
from mmar_runner.mmar.manifest import list_files
from mmar_runner.mmar.reports.report import Report
from mmar_runner.mmar.sources import configuration as sources
from mmar_runner.mmar.sources.substitution import handed_over
from mmar_runner.mmar.sources.variables import ANY_CLIENT
from mmar_runner.mmar.spec import MmarSpec
from mmar_runner.security.policy.mmar_facts import MmarFacts
from mmar_runner.security.policy.site_policy import load_policy

if TYPE_CHECKING:
    from mmar_runner.interfaces.catalog import ComponentCatalog
    from mmar_runner.mmar.folder import MmarFolder
    from mmar_runner.mmar.sources.configuration import Side, Sources
    from mmar_runner.mmar.spec import Generation
    from mmar_runner.security.listing import FileListing
    from mmar_runner.security.policy.site_policy import SitePolicy


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

    @property
    def facts(self) -> MmarFacts:
        """What a policy must know of the MMAR, as far as the asked side uses it."""
        return self._check.facts

    @property
    def unfilled(self) -> tuple[Finding, ...]:
        """What keeps the asked side from running, though the MMAR is sound: see `unfilled`."""
        return self._check.unfilled

    @property
    def listing(self) -> FileListing:
        """Every file of the MMAR as it was hashed for this check."""
        return self._check.listing

    @property
    def look(self) -> Look:
        """The MMAR as the checks saw it; what more is found goes into its ``findings``."""
        return self._check.look

    def again(self) -> Validation:
        """Return the same check, with what was found since it was made."""
        return Validation(self._check.report(self.report.mmar), self.spec, self._check)

    @property
    def folder(self) -> MmarFolder:
        """The MMAR's folder as it was surveyed for this check."""
        return self._check.folder

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
    client_name: str = ANY_CLIENT,
    listing: Callable[[], FileListing] | None = None,
    asked: Asked | None = None,
) -> Validation:
    """Check an MMAR completely.

    Args:
        folder: The MMAR.
        catalog: What is installed.
        side: Which side's components must be there.
        settings: The ``--set`` values.
        policy: A site policy to judge it by.
        client_name: The client whose variables are put in.
        listing: Gives the folder's listing, if it was hashed before.
        asked: What the run is asked for in place of what the server file says.

    Raises:
        MmarUnreadableError: There is nothing to check at that path.
        UsageError: The policy cannot be read.
    """
    rules = load_policy(policy) if policy is not None else None
    check = _Check(folder, catalog, side, dict(settings or {}), listing=listing, asked=asked)
    spec = check.run(client_name, rules)
    return Validation(check.report(str(folder)), spec, check)


class _Check:
    """One check of one MMAR: the folder is read once, and looked at as often as asked."""

    def __init__(
        self,
        folder: Path,
        catalog: ComponentCatalog,
        side: Side,
        settings: dict[str, Any],
        *,
        listing: Callable[[], FileListing] | None,
        asked: Asked | None,
    ) -> None:
        self.findings = Findings()
        self.generation: Generation | None = None
        self.says_strict = False
        self.custom_datalist = False
        self.unfilled: tuple[Finding, ...] = ()
        self.look: Look
        self._side = side
        self._catalog = catalog
        self._settings = settings
        self._asked = asked or Asked()
        self.folder = open_folder(folder, self.findings)
        self.byoc = ByocModules(self.folder)
        self.listing = list_files(self.folder) if listing is None else listing()
        self.digest = self.listing.digest
        self._parsed = sources.parse_files(self.folder, self.findings)
        self._log_levels: Mapping[str, str] = {}
        self.facts = MmarFacts(self.folder.root.name, self.digest)

    def run(self, client_name: str, policy: SitePolicy | None) -> MmarSpec | None:
        """Look at everything and return the specification."""
        check_signature(self.folder, self.listing, self.findings)
        self._log_levels = read_levels(self.folder, self.findings)
        self.look = look = self._look(client_name, self.findings)
        # After what is declared: what code it names is known then.
        there = (
            (provided(self._catalog), constants(self._catalog)) if self.byoc.present else ({}, {})
        )
        self.byoc.report(self.findings, *there)
        check_secrets(self.folder, self.findings)  # which takes back what was said of its files
        self.generation = look.files.generation
        server = look.files.server
        self.says_strict = server is not None and server.value.get("strict") is True
        bundles = BundleFacts()
        commands: Commands = ()
        if self.generation is not None:
            check_rounds(look)
            check_parts(look)
            check_available(look)
            check_filters(look)
            check_combinations(look)
            check_tree(look)
            check_budgets(look)
            check_tensorflow(look)
            check_train(look)
            check_idle(look)
            check_references(look)
            check_fit(look)
            check_held_out(look)
            check_models(look)
            name_key_metric(look)
            check_metrics(look)
            check_expressions(look)
            bundles = check_bundles(look)
            commands = check_entry_points(look)
        self.custom_datalist = check_files(look)
        self.unfilled = unfilled(look)
        self.facts = gather_facts(look, self.digest, bundles, commands)
        if policy is not None:
            check_policy(look, policy, self.facts, self._catalog)
        return self._spec(look)

    def report(self, mmar: str) -> Report:
        """Return what was found so far."""
        findings = self.findings.result(strict=self.says_strict)
        return Report(
            mmar=mmar,
            generation=self.generation,
            valid=not any(finding.severity is Severity.ERROR for finding in findings),
            byoc=self.facts.byoc,
            custom_datalist=self.custom_datalist,
            digest=self.digest,
            findings=tuple(findings),
        )

    def spec_for(self, client_name: str) -> MmarSpec | None:
        """Return the specification as one client sees it."""
        look = self._look(client_name, Findings())
        bring_up_to_date(look)
        name_key_metric(look)
        return self._spec(look)

    def _look(self, client_name: str, findings: Findings) -> Look:
        files = sources.prepare(self._parsed, self._settings, client_name, findings)
        resolver = Resolver(self._catalog, self.byoc, findings)
        look = Look(
            self.folder, files, self.byoc, resolver, self._side, findings, asked=self._asked
        )
        if look.server is not None:
            look.server_parts = build.resolve_server(look.server, resolver)
        if look.client is not None:
            look.client_parts = build.resolve_client(look.client, resolver)
        return look

    def _spec(self, look: Look) -> MmarSpec | None:
        files = look.files
        if files.generation is None:
            return None
        spec = self._frame(files, files.generation)
        if look.server is not None and look.server.file in files.sound:
            spec = replace(spec, server=build.server_spec(look.server, look.server_parts))
        if look.client is not None and look.client.file in files.sound:
            task = files.server.get(("servers", 0, "name"), "") if files.server else ""
            client = build.client_spec(look.client, look.client_parts, task)
            spec = replace(spec, client=client)
        return spec

    def _frame(self, files: Sources, generation: Generation) -> MmarSpec:
        train = files.train.value if files.train else {}
        determinism = train.get("determinism")
        seed = determinism.get("random_seed") if isinstance(determinism, dict) else None
        target = files.client.get(("servers", 0, "service", "target")) if files.client else None
        return MmarSpec(
            name=self.folder.root.name,
            root=self.folder.root,
            generation=generation,
            digest=self.digest,
            byoc=self.byoc.present,
            expressions=bool(self.facts.expressions),
            commands=bool(self.facts.commands),
            train_config=train,
            validation_config=files.validation.value if files.validation else {},
            variables=handed_over(files.variables),
            guesses_index=files.variables.guesses_index(),
            seed=seed if isinstance(seed, int) else 0,
            target=target if isinstance(target, str) else None,
            log_levels=self._log_levels,
        )
