# SPDX-License-Identifier: Apache-2.0
"""Targets: MMAR folders that somebody else wrote."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.cli.output import harmless_json
from mmar_runner.hooks.manager import load_plugins
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.mmar.bundle.declared import declared
from mmar_runner.mmar.bundle.plan import plan_import
from mmar_runner.mmar.bundle.standing import BundleFact
from mmar_runner.mmar.bundle.told import as_json, as_lines, readme
from mmar_runner.mmar.checks.logging_config import read_levels
from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.folder import open_folder, survey
from mmar_runner.mmar.reports.as_json import render_json
from mmar_runner.mmar.reports.github import render_github
from mmar_runner.mmar.reports.sarif import render_sarif
from mmar_runner.mmar.reports.text import render_text
from mmar_runner.mmar.validation import Validation, validate
from tests.fuzz.folders import unfold
from tests.fuzz.target import FindingError, Target, scratch
from tests.fuzz.targets_documents import JSON

if TYPE_CHECKING:
    from mmar_runner.interfaces.catalog import ComponentCatalog

#: Words that mean something in an MMAR.
WORDS: Final = (
    *(b"\n=== config/config_fed_server.json\n", b"\n=== config/config_fed_client.json\n"),
    *(b"\n=== config/config_train.json\n", b"\n=== config/environment.json\n"),
    *(b"\n=== custom/mine.py\n", b"\n=== resources/log.config\n", b"\n=== a -> ../../etc\n"),
    *(b"\n=== config/x -> config\n", b'"path": "mine.Net"', b'"name": "FedAvg"', b'"args": {'),
    *(b"{CLIENT_NAME}", b"{MMAR_ROOT}", b"{A}", b'"servers": [', b'"aggregator": ', b'"handlers":'),
    *(b'"num_rounds": ', b'"min_num_clients": ', b'"format_version": 1', b'"disabled": true'),
    *(b"1e308", b"-1", b"100000000000000000000", b'"client": ', b'"task": ', b'"tasks": ['),
)


@cache
def _catalog() -> ComponentCatalog:
    return load_plugins().registry


def _folder(data: bytes) -> None:
    """Validate a folder, tell of it in every form, and see it as a client and a policy do."""
    with scratch() as outer:
        folder = outer / "mmar"
        folder.mkdir()
        unfold(data, folder)
        checked = validate(folder, _catalog(), settings={"NUM_ROUNDS": 3})
        _told(checked)
        _ = checked.facts, checked.listing
        checked.spec_for("site-2")
        validate(folder, _catalog(), side="client", client_name="site-3")


def _told(checked: Validation) -> None:
    reports = [checked.report]
    said: Any = json.loads(harmless_json(render_json(reports)))
    if not said:
        raise FindingError("a report of nothing")
    for text in (
        render_sarif(reports, version="0"),
        render_github(reports),
        render_text(reports, lambda text, _: text),
    ):
        text.encode()
    for finding in checked.report.findings:
        if finding.line < 0 or finding.column < 0:
            raise FindingError(f"{finding} stands nowhere")


def _log_config(data: bytes) -> None:
    with scratch() as folder:
        unfold(b"=== config/a\n\n=== resources/log.config\n" + data, folder)
        findings = Findings()
        read_levels(open_folder(folder, findings), findings)


def _environment(data: bytes) -> None:
    """Variables: what they define is put into texts that use them."""
    server = {
        "format_version": 1,
        "servers": [{"name": "{A}{B}", "min_num_clients": "{A}", "num_rounds": "{NUM_ROUNDS}"}],
        "aggregator": {"name": "{B}", "args": {"aggregation_weights": {"site-1": "{A}"}}},
        "A": "{B}{B}",
    }
    with scratch() as outer:
        folder = outer / "mmar"
        files = b"=== config/config_fed_server.json\n%b\n=== config/environment.json\n%b"
        folder.mkdir()
        unfold(files % (json.dumps(server).encode(), data), folder)
        _told(validate(folder, _catalog(), side="server"))


def _bundle(data: bytes) -> None:
    """Plan an MMAR of a bundle, and say so in every form; nothing of it is evaluated."""
    with scratch() as outer:
        folder = outer / "bundle"
        folder.mkdir()
        unfold(data, folder)
        findings = Findings()
        found = _catalog().find(ComponentKind.CLIENT_ALGO, "MonaiAlgo")
        fact = None if found is None else BundleFact.of(found.extras)
        if fact is None:
            raise FindingError("nobody reads bundles")
        plan = plan_import(survey(folder, findings), _catalog(), fact, findings)
        values = [*declared(plan, "study").values(), as_json(plan), readme(plan, "study")]
        "".join([*map(harmless_json, map(json.dumps, values)), *as_lines(plan)]).encode()


TARGETS: Final = (
    Target(
        "bundle",
        _bundle,
        "MONAI bundles",
        (
            *(b"=== configs/train.json\n", b"=== configs/evaluate.yaml\n"),
            b"=== scripts/a.py\n",
            *(
                b'"_target_": "UNet"',
                b'"_mode_": "debug"',
                b"$@a",
                b"@train::",
                b"%a#0",
                b'"+train#',
            ),
            *(
                b'"network_def": ',
                b"&a ",
                b"*a",
                b"!!python/name:os",
                b"@##a",
                b"monai.data.utils.os.",
            ),
            *JSON,
        ),
        longest=12_000,
    ),
    Target("mmar", _folder, "folders of MMARs", (*WORDS, *JSON), longest=12_000),
    Target("environment", _environment, "environment.json", (b'"A": ', b"{A}", b"{B}", *JSON)),
    Target(
        "log_config",
        _log_config,
        "resources/log.config",
        (b"[logger_root]\n", b"level=", b"args=(", b",  ", b"'", b"qualname: ", b"\x0c", b"=" * 9),
    ),
)
