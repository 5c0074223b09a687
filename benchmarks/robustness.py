# SPDX-License-Identifier: Apache-2.0
"""Sites that attack: what each aggregator's model is worth with them and without.

    make robustness                                            # 17 simulations: 20 minutes
    make robustness ROBUSTNESS="--own --rounds 40 --epochs 5"  # sites with images of their own
    make robustness ROBUSTNESS="--only Median --rounds 5"      # a look
    make robustness ROBUSTNESS="--write"    # into docs/explanation/robust-aggregation.md

Each rule trains mmars/digits_cnn twice: once every site is honest, once the last two send what
`attackers/attacker.py` makes of their differences. The final model is measured on the held-out
images of all sites, and the two are held against each other. Sites have the same images, as the
rules' papers assume, or each has its own.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    simulated,
    write_between,
)
from page import machine

ATTACKERS: Final = ROOT / "benchmarks" / "attackers"
PAGE: Final = ROOT / "docs" / "explanation" / "robust-aggregation.md"
#: Around the table of sites with the same images, and of sites with their own.
MARKS: Final = {
    pooled: tuple(
        f"<!-- written by make robustness, {what}: {end} -->\n" for end in ("begin", "end")
    )
    for pooled, what in ((True, "pooled"), (False, "own"))
}

FAULTY: Final = 2
FLIPPED: Final = -10.0
SCALED: Final = 100.0


@dataclass(frozen=True, slots=True)
class Case:
    """One rule under one attack.

    Attributes:
        aggregator: As an MMAR declares it.
        factor: What the attackers multiply their differences by.
        clients: How many sites there are, attackers among them.
        holds: Whether it is to hold: to end within `ROOM` of its clean run.
    """

    aggregator: Mapping[str, Any]
    factor: float = FLIPPED
    clients: int = 7
    holds: bool = True


#: How much of the clean run's accuracy may be lost.
ROOM: Final = 0.02

_F: Final = {"num_malicious": FAULTY}
_CLIPPED: Final = {"name": "NormClipping", "args": {"max_norm": 1.0}}

CASES: Final[dict[str, Case]] = {
    "FedAvg": Case({"name": "FedAvg"}, holds=False),
    "Median": Case({"name": "Median"}),
    "TrimmedMean": Case({"name": "TrimmedMean", "args": _F}),
    "Krum": Case({"name": "Krum", "args": _F}),
    "MultiKrum": Case({"name": "MultiKrum", "args": _F}),
    "GeometricMedian": Case({"name": "GeometricMedian"}),
    "Bulyan": Case({"name": "Bulyan", "args": _F}, clients=11),
    "FedAvg, scaled": Case({"name": "FedAvg"}, SCALED, holds=False),
    "NormClipping, scaled": Case(_CLIPPED, SCALED),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for and print a table; 1 if a rule that is to hold does not."""
    asked = _parser().parse_args(arguments)
    about = machine()
    results = Results(asked.results)
    results.load()
    rows = {
        name: (
            _known(results, CASES[name], attacked=False, asked=asked),
            _known(results, CASES[name], attacked=True, asked=asked),
        )
        for name in asked.only or CASES
    }
    text = table(rows)
    sys.stdout.write(text)
    if asked.write:
        write_between(PAGE, f"{_said(asked, about)}\n\n{text}", *MARKS[asked.pooled])
    return int(any(not as_it_should(CASES[name], *row) for name, row in rows.items()))


def _known(results: Results, case: Case, *, attacked: bool, asked: argparse.Namespace) -> float:
    """Return the accuracy of one simulation, which is run if it is not known."""
    settings = [asked.rounds, asked.epochs, asked.rate, asked.alpha, asked.seed, asked.pooled]
    key = [case.aggregator, case.clients, case.factor if attacked else 1, *settings]
    return results.of(key, partial(accuracy_of, case, attacked=attacked, asked=asked))


def as_it_should(case: Case, clean: float, attacked: float) -> bool:
    """Whether a rule holds that is to hold, or one does not that is to show the attack."""
    return (clean - attacked <= ROOM) is case.holds


def accuracy_of(case: Case, *, attacked: bool, asked: argparse.Namespace) -> float:
    """Return the accuracy of the last model that there is on all held-out images.

    A run whose model is driven beyond all numbers fails: its trainers refuse to go on.

    Args:
        case: The rule and the attack.
        attacked: Whether the attack takes place.
        asked: Rounds, local epochs, learning rate, alpha, seed.

    Raises:
        subprocess.CalledProcessError: The simulation could not begin; it has said why.
    """
    with tempfile.TemporaryDirectory(prefix="robustness-") as temporary:
        archive, workspace = Path(temporary, "mmar"), Path(temporary, "workspace")
        write_archive(archive, case, attacked=attacked)
        settings = {
            "ALPHA": asked.alpha,
            "LOCAL_EPOCHS": asked.epochs,
            "learning_rate": asked.rate,
            "POOLED": str(asked.pooled).lower(),
            "NUM_SITES": case.clients,
            "MIN_NUM_CLIENTS": case.clients,
        }
        done = simulated(
            archive,
            workspace,
            settings,
            *("--plugins-dir", str(ATTACKERS)),
            clients=case.clients,
            rounds=asked.rounds,
            seed=asked.seed,
        )
        models = sorted((workspace / "run_1" / "models").glob("round_*.safetensors"))
        if not models or done.returncode not in {0, 1}:
            done.check_returncode()
        return digits_accuracy(models[-1])


def write_archive(archive: Path, case: Case, *, attacked: bool) -> None:
    """Write the sample MMAR with a case's aggregator, and its attackers if it is attacked."""
    sites = [f"site-{number}" for number in range(case.clients - FAULTY + 1, case.clients + 1)]
    attacker = {"name": "Attacker", "args": {"sites": sites, "factor": case.factor}}
    digits_archive(
        archive,
        case.aggregator,
        trainer={"send": "weight_diff"},
        outbound_filters=[attacker] if attacked else [],
    )


def table(rows: Mapping[str, tuple[float, float]]) -> str:
    """Return clean and attacked accuracies as Markdown."""
    head = "| aggregator | sites | the last two send | all honest | attacked | lost |\n"
    head += "|---|---|---|---|---|---|\n"
    return head + "".join(
        f"| {name.partition(',')[0]} | {CASES[name].clients} | {CASES[name].factor:g} times their"
        f" difference | {clean:.1%} | {attacked:.1%} | {100 * (clean - attacked):.1f} points |\n"
        for name, (clean, attacked) in rows.items()
    )


def _said(asked: argparse.Namespace, about: Mapping[str, Any]) -> str:
    options = "" if asked.pooled else "--own "
    options += f"--rounds {asked.rounds} --epochs {asked.epochs} --rate {asked.rate:g}"
    options += f" --alpha {asked.alpha:g} --seed {asked.seed} --write"
    return (
        f'`make robustness ROBUSTNESS="{options}"`, at commit {about["commit"]}: all sites in'
        f" every round, {asked.rounds} rounds of {asked.epochs} local epochs, learning rate"
        f" {asked.rate:g}, alpha {asked.alpha:g}, seed {asked.seed}; {on_machine(about)},"
        f" torch {torch.__version__}."
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=12, help="how many rounds")
    parser.add_argument("--epochs", type=int, default=1, help="local epochs in a round")
    parser.add_argument("--rate", type=float, default=0.02, help="the sites' learning rate")
    parser.add_argument("--alpha", type=float, default=1000.0, help="smaller is more skewed")
    parser.add_argument(
        "--own",
        dest="pooled",
        action="store_false",
        help="every site has images of its own; else all have the same",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the runs")
    parser.add_argument("--only", choices=list(CASES), action="append", help="a case")
    parser.add_argument("--results", type=Path, help="a file; what it holds is not run again")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
