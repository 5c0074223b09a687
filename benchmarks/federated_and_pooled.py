# SPDX-License-Identifier: Apache-2.0
"""A U-Net trained across sites, and on all their volumes at once: how far apart are they?

    make federated-and-pooled                                    # minutes
    make federated-and-pooled FEDERATED="--seeds 1 --rounds 4"   # a look
    make federated-and-pooled FEDERATED="--write"                # its page in docs/explanation

Both train mmars/spheres_unet from the same initial model with the same number of optimizer
steps: the federation at each site over its own volumes, the other at one site over the volumes
of all. The final model's mean Dice is measured by the archive's own validation workflow on
volumes that nobody trains on.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from comparison import ROOT, on_machine, seeds_table, simulated, write_between
from mmar_runner_monai.synthetic import HELD_OUT, LIST, Plan, write_sites
from page import machine

ARCHIVE: Final = ROOT / "mmars" / "spheres_unet"
PAGE: Final = ROOT / "docs" / "explanation" / "federated-and-pooled.md"
BEGIN: Final = "<!-- written by make federated-and-pooled: begin -->\n"
END: Final = "<!-- written by make federated-and-pooled: end -->\n"
#: How far apart the two may be, in mean Dice over the seeds.
BOUND: Final = 0.03
#: The rows, and of how many sites each is.
ROWS: Final = ("federated", "pooled")
_METRIC: Final = "val_mean_dice"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for and print a table; return 1 if the two are too far apart."""
    asked = _parser().parse_args(arguments)
    rows: dict[str, list[float]] = {name: [] for name in ROWS}
    for seed in range(asked.seeds):
        with tempfile.TemporaryDirectory(prefix="pooled-") as temporary:
            folder = Path(temporary)
            write_data(folder / "data", seed, asked)
            for name in ROWS:
                rows[name].append(dice_of(name, seed, folder, asked))
                sys.stderr.write(f"{name}, seed {seed}: {rows[name][-1]:.4f}\n")
    text = table(rows)
    sys.stdout.write(text)
    if asked.write:
        write_between(PAGE, f"{_said(asked, machine())}\n\n{text}", BEGIN, END)
    return int(apart(rows) > BOUND)


def write_data(out: Path, seed: int, asked: argparse.Namespace) -> None:
    """Write every site's volumes and the lists of both rows: ``ROW/site-N/dataset.json``.

    Both rows measure on the same volumes, which are nobody's.
    """
    plan = Plan(training=asked.volumes, validation=0, seed=seed)
    sites = write_sites(out, asked.sites, plan, held_out=asked.held_out)
    measured = _listed(out / HELD_OUT, "validation")
    trained = {site.name: _listed(site, "training") for site in sites}
    everything = [sample for samples in trained.values() for sample in samples]
    for row, shares in zip(ROWS, (trained, {"site-1": everything}), strict=True):
        for name, samples in shares.items():
            folder = out / row / name
            folder.mkdir(parents=True)
            lists = {"training": samples, "validation": measured}
            (folder / LIST).write_text(json.dumps(lists))


def _listed(folder: Path, key: str) -> list[dict[str, str]]:
    """Return a list's samples with whole paths."""
    samples = json.loads((folder / LIST).read_text())[key]
    return [{name: str(folder / file) for name, file in sample.items()} for sample in samples]


def copy_archive(archive: Path, steps: int) -> None:
    """Write the sample MMAR with so many optimizer steps in a round."""
    shutil.copytree(ARCHIVE, archive)
    path = archive / "config" / "config_fed_client.json"
    config = json.loads(path.read_text())
    config["client_trainer"]["args"]["steps_aggregation"] = steps
    path.write_text(json.dumps(config, indent=2))


def dice_of(name: str, seed: int, folder: Path, asked: argparse.Namespace) -> float:
    """Return the final model's mean Dice on the volumes that nobody trains on.

    Args:
        name: The row.
        seed: Of the volumes and of the run.
        folder: Where `write_data` wrote, in ``data``; gets the run.
        asked: Sites, rounds, steps.

    Raises:
        subprocess.CalledProcessError: The simulation failed; it has said why.
    """
    archive, workspace = folder / name / "mmar", folder / name / "workspace"
    copy_archive(archive, asked.steps)
    clients = asked.sites if name == "federated" else 1
    settings = {"DATA": folder / "data" / name, "MIN_NUM_CLIENTS": clients}
    simulated(
        archive, workspace, settings, clients=clients, rounds=asked.rounds, seed=seed
    ).check_returncode()
    results = workspace / "run_1" / "cross_site_validation" / "results.json"
    measured = json.loads(results.read_bytes())["site-1"]["FL_global_model"]
    return float(measured[_METRIC])


def apart(rows: dict[str, list[float]]) -> float:
    """Return how far apart the rows' means are."""
    federated, pooled = (statistics.mean(rows[name]) for name in ROWS)
    return abs(federated - pooled)


def table(rows: dict[str, list[float]]) -> str:
    """Return mean Dice as Markdown: mean, least and greatest over the seeds."""
    lines = seeds_table("training", rows, "{:.3f}".format)
    return f"{lines}\nThe means are {apart(rows):.3f} apart; at most {BOUND} is asked for.\n"


def _said(asked: argparse.Namespace, about: dict[str, Any]) -> str:
    options = f"--sites {asked.sites} --volumes {asked.volumes} --rounds {asked.rounds}"
    options += f" --steps {asked.steps} --held-out {asked.held_out} --seeds {asked.seeds} --write"
    return (
        f'`make federated-and-pooled FEDERATED="{options}"`, at commit {about["commit"]}:'
        f" {asked.sites} sites of {asked.volumes} volumes, {asked.rounds} rounds of"
        f" {asked.steps} steps, measured on {asked.held_out} volumes, {asked.seeds} seeds;"
        f" {on_machine(about)}."
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sites", type=int, default=2, help="how many sites")
    parser.add_argument("--volumes", type=int, default=4, help="that each trains on")
    parser.add_argument("--rounds", type=int, default=10, help="how many rounds")
    parser.add_argument("--steps", type=int, default=12, help="optimizer steps in a round")
    parser.add_argument("--held-out", type=int, default=8, help="volumes that are measured on")
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
