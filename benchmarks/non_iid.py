# SPDX-License-Identifier: Apache-2.0
"""Sites whose data differ strongly: what four algorithms make of them.

    make non-iid                                          # 20 simulations: half an hour
    make non-iid NON_IID="--rounds 5 --seeds 1"           # a look
    make non-iid NON_IID="--write"                        # docs/explanation/non-iid.md

Each algorithm trains mmars/digits_cnn over the same splits, one for each seed, and differs in
nothing but what makes it that algorithm. The final model is measured on the held-out images of all
sites. Nothing is tuned: arguments are those of the papers, or the plain ones.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch

from comparison import (
    ROOT,
    Results,
    digits_accuracy,
    digits_archive,
    on_machine,
    seeds_table,
    simulated,
    write_between,
)
from page import machine

PAGE: Final = ROOT / "docs" / "explanation" / "non-iid.md"
BEGIN: Final = "<!-- written by make non-iid: begin -->\n"
END: Final = "<!-- written by make non-iid: end -->\n"

#: By name: the aggregator, and arguments that the trainer gets besides.
ALGORITHMS: Final[dict[str, tuple[dict[str, Any], dict[str, Any]]]] = {
    "FedAvg": ({"name": "FedAvg"}, {}),
    "FedProx": ({"name": "FedAvg"}, {"fedprox_mu": 0.1}),
    "FedAdam": (
        {"name": "FedAdam", "args": {"server_learning_rate": 0.01, "tau": 0.001}},
        {"send": "weight_diff"},
    ),
    "SCAFFOLD": (
        {"name": "Scaffold"},
        {"algorithm": "scaffold", "send": "weight_diff"},
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for and print a table; return the exit code."""
    asked = _parser().parse_args(arguments)
    about = machine()
    results = Results(asked.results)
    results.load()
    rows: dict[str, list[float]] = {name: [] for name in asked.only or ALGORITHMS}
    for seed in range(asked.seeds):
        for name, found in rows.items():
            key = [name, seed, asked.clients, asked.rounds, asked.epochs, asked.alpha]
            found.append(results.of(key, partial(accuracy_of, name, seed, asked)))
    text = seeds_table("algorithm", rows, "{:.1%}".format)
    sys.stdout.write(text)
    if asked.write:
        write_between(PAGE, f"{_said(asked, about)}\n\n{text}", BEGIN, END)
    return 0


def accuracy_of(name: str, seed: int, asked: argparse.Namespace) -> float:
    """Return the final model's accuracy on all held-out images.

    Args:
        name: Of the algorithm.
        seed: Of the split and of the run.
        asked: Clients, rounds, local epochs, alpha.

    Raises:
        subprocess.CalledProcessError: The simulation failed; it has said why.
    """
    with tempfile.TemporaryDirectory(prefix="non-iid-") as temporary:
        archive, workspace = Path(temporary, "mmar"), Path(temporary, "workspace")
        write_archive(archive, name)
        settings = {
            "ALPHA": asked.alpha,
            "DATA_SEED": seed,
            "LOCAL_EPOCHS": asked.epochs,
            "NUM_SITES": asked.clients,
        }
        simulated(
            archive, workspace, settings, clients=asked.clients, rounds=asked.rounds, seed=seed
        ).check_returncode()
        return digits_accuracy(workspace / "run_1" / "models" / "final.safetensors", seed)


def write_archive(archive: Path, name: str) -> None:
    """Write the sample MMAR with what makes it an algorithm."""
    aggregator, trainer = ALGORITHMS[name]
    digits_archive(archive, aggregator, trainer=trainer)


def _said(asked: argparse.Namespace, about: dict[str, Any]) -> str:
    options = f"--clients {asked.clients} --rounds {asked.rounds} --epochs {asked.epochs}"
    options += f" --alpha {asked.alpha:g} --seeds {asked.seeds} --write"
    return (
        f'`make non-iid NON_IID="{options}"`, at commit {about["commit"]}: {asked.clients} sites,'
        f" all in every round, {asked.rounds} rounds of {asked.epochs} local epochs,"
        f" alpha {asked.alpha:g}, {asked.seeds} seeds; {on_machine(about)},"
        f" torch {torch.__version__}."
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clients", type=int, default=10, help="how many sites")
    parser.add_argument("--rounds", type=int, default=20, help="how many rounds")
    parser.add_argument("--epochs", type=int, default=5, help="local epochs in a round")
    parser.add_argument("--alpha", type=float, default=0.1, help="smaller is more skewed")
    parser.add_argument("--seeds", type=int, default=5, help="how many, from 0")
    parser.add_argument("--only", choices=list(ALGORITHMS), action="append", help="an algorithm")
    parser.add_argument("--results", type=Path, help="a file; what it holds is not run again")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
