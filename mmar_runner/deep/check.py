# SPDX-License-Identifier: Apache-2.0
"""The deep check of an MMAR in which the ordinary one has found no error."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mmar_runner.deep.asking import Asking
from mmar_runner.deep.dry_run import dry_run
from mmar_runner.deep.estimates import estimates, round_clients, size_of
from mmar_runner.deep.networks import compare
from mmar_runner.deep.watching import Nobody, interruptible, run_watched
from mmar_runner.mmar.reports.deep import DeepReport

if TYPE_CHECKING:
    import asyncio

    from mmar_runner.deep.asking import Answers
    from mmar_runner.deep.options import DeepOptions
    from mmar_runner.deep.watching import Watcher
    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.mmar.reports.report import Report
    from mmar_runner.mmar.spec import MmarSpec
    from mmar_runner.mmar.validation import Validation


def look_deep(
    validation: Validation,
    plugins: LoadedPlugins,
    options: DeepOptions,
    runner: asyncio.Runner,
    watcher: Watcher | None = None,
) -> Report:
    """Return the report on an MMAR with what only building shows, and maybe a round.

    Where something does not go together, no round is tried.

    Args:
        validation: The ordinary check; if it has an error, its report is returned as it is.
        plugins: The plugins in force.
        options: What may be run, and for how long.
        runner: Of the process; several checks share it.
        watcher: Whoever waits for it; None for nobody.

    Raises:
        KeyboardInterrupt: The process was interrupted, or told to end.
    """
    spec = validation.spec
    if not validation.report.valid or spec is None:
        return validation.report
    watcher = watcher or Nobody()
    with interruptible():
        watcher.stage("the declared networks are built and compared")
        with tempfile.TemporaryDirectory(prefix="mmar-deep-") as folder:
            asking = Asking(validation.look, spec, options, Path(folder))
            answers = run_watched(runner, asking.ask(), watcher)
        compare(validation.look, spec, answers)
        deep = _said(spec, answers, plugins)
        if options.dry_run and validation.again().report.valid:
            least = answers.rule.least
            deep = dry_run(validation, plugins, options, deep, runner, least=least, watcher=watcher)
    return replace(validation.again().report, deep=deep)


def _said(spec: MmarSpec, answers: Answers, plugins: LoadedPlugins) -> DeepReport:
    facts = {"server": answers.server, "client": answers.client, "checkpoint": answers.checkpoint}
    networks = {
        whose: size_of(one) for whose, one in facts.items() if one is not None and one.tensors
    }
    if spec.server is None:
        return DeepReport(networks)
    rule = spec.server.aggregator
    found = plugins.registry.find(rule.kind, rule.name)
    companions = () if found is None else tuple(found.extras.get("companions", ()))
    figures = estimates(spec.server, answers, companions)
    return DeepReport(networks, round_clients(spec.server), tuple(figures))
