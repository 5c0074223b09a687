# SPDX-License-Identifier: Apache-2.0
"""``mmar-runner report``: a self-contained page of a run, with plots."""

from __future__ import annotations

from pathlib import Path

import click

from mmar_runner.cli.output import echo_json, json_option, say
from mmar_runner.documents.words import human_bytes
from mmar_runner.reporting.report import write_report


@click.command("report")
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where to write the page.  [default: RUN_DIR/report.html]",
)
@json_option
def command(run_dir: Path, out: Path | None, as_json: bool) -> None:
    """Write a page of a run: HTML in one file, with plots, that needs no network.

    RUN_DIR is a run's folder at its server, or the server's workspace: then it is the last
    run. A run that is still going on gets a page of how it stands.
    """
    report = write_report(run_dir, out)
    if as_json:
        echo_json(
            {
                "report": str(report.path),
                "run": str(report.run),
                "run_number": report.run_number,
                "status": report.status,
                "rounds": report.rounds,
                "sites": report.sites,
                "bytes": report.bytes,
                "notes": list(report.notes),
            }
        )
        return
    for note in report.notes:
        say(f"note: {note}", err=True)
    say(f"report: {report.path} ({human_bytes(report.bytes)})")
