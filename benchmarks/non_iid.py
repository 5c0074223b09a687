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
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch.utils.data import DataLoader

from mmar_runner_sklearn.digits import DigitsDataset
from mmar_runner_torch.files import read_state
from mmar_runner_torch.models import SmallConvNet
from page import machine

ROOT: Final = Path(__file__).resolve().parent.parent
ARCHIVE: Final = ROOT / "mmars" / "digits_cnn"
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
    kept = _Results(asked.results)
    for seed in range(asked.seeds):
        for name in asked.only or ALGORITHMS:
            key = [name, seed, asked.clients, asked.rounds, asked.epochs, asked.alpha]
            if kept.find(key) is None:
                kept.add(key, accuracy_of(name, seed, asked))
                sys.stderr.write(f"{name}, seed {seed}: {kept.find(key):.4f}\n")
    rows = {name: list(_found(kept, name, asked)) for name in asked.only or ALGORITHMS}
    text = table(rows)
    sys.stdout.write(text)
    if asked.write:
        _write(f"{_said(asked, about)}\n\n{text}")
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
        _copy(archive, *ALGORITHMS[name])
        settings = {
            "ALPHA": asked.alpha,
            "DATA_SEED": seed,
            "LOCAL_EPOCHS": asked.epochs,
            "NUM_SITES": asked.clients,
        }
        command = [sys.executable, "-m", "mmar_runner", "simulate", str(archive)]
        command += ["--clients", str(asked.clients), "--rounds", str(asked.rounds)]
        command += ["--seed", str(seed), "--workspace", str(workspace), "--json"]
        for variable, value in settings.items():
            command += ["--set", f"{variable}={value}"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
        return _accuracy(workspace / "run_1" / "models" / "final.safetensors", seed)


def table(rows: dict[str, list[float]]) -> str:
    """Return accuracies as Markdown: mean, least and greatest over the seeds."""
    head = "| algorithm | mean | least | greatest | of each seed |\n|---|---|---|---|---|\n"
    return head + "".join(
        f"| {name} | {statistics.mean(found):.1%} | {min(found):.1%} | {max(found):.1%} |"
        f" {', '.join(f'{one:.1%}' for one in found)} |\n"
        for name, found in rows.items()
        if found
    )


class _Results:
    """Accuracies by what they are of; in a file, if there is one, so that none is run twice."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        lines = path.read_text().splitlines() if path is not None and path.exists() else []
        self._all = {line["key"]: line["accuracy"] for line in map(_line, lines)}

    def find(self, key: list[Any]) -> float | None:
        return self._all.get(json.dumps(key))

    def add(self, key: list[Any], accuracy: float) -> None:
        self._all[json.dumps(key)] = accuracy
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(json.dumps({"key": key, "accuracy": accuracy}) + "\n")


def _line(text: str) -> dict[str, Any]:
    told = json.loads(text)
    return {"key": json.dumps(told["key"]), "accuracy": told["accuracy"]}


def _found(kept: _Results, name: str, asked: argparse.Namespace) -> Iterable[float]:
    for seed in range(asked.seeds):
        key = [name, seed, asked.clients, asked.rounds, asked.epochs, asked.alpha]
        found = kept.find(key)
        if found is not None:
            yield found


def _copy(archive: Path, aggregator: dict[str, Any], trainer: dict[str, Any]) -> None:
    """Write the sample MMAR with another aggregator and other arguments of the trainer."""
    (archive / "config").mkdir(parents=True)
    for source in (ARCHIVE / "config").iterdir():
        config = json.loads(source.read_text())
        if source.name == "config_fed_server.json":
            config["aggregator"] = aggregator
            del config["handlers"]
        if source.name == "config_fed_client.json":
            config["client_trainer"]["args"] |= trainer
        (archive / "config" / source.name).write_text(json.dumps(config, indent=2))


def _accuracy(model: Path, seed: int) -> float:
    network = SmallConvNet(in_channels=1, num_classes=10, width=16)
    state = read_state(model)
    network.load_state_dict({name: state[name] for name in network.state_dict()})
    network.eval()
    held_out: Any = DigitsDataset(partition="held_out", num_sites=1, seed=seed)
    right = 0
    with torch.no_grad():
        for inputs, targets in DataLoader(held_out, batch_size=256):
            right += int((network(inputs).argmax(1) == targets).sum())
    return right / len(held_out)


def _said(asked: argparse.Namespace, about: dict[str, Any]) -> str:
    options = f"--clients {asked.clients} --rounds {asked.rounds} --epochs {asked.epochs}"
    options += f" --alpha {asked.alpha:g} --seeds {asked.seeds} --write"
    return (
        f'`make non-iid NON_IID="{options}"`, at commit {about["commit"]}: {asked.clients} sites,'
        f" all in every round, {asked.rounds} rounds of {asked.epochs} local epochs,"
        f" alpha {asked.alpha:g}, {asked.seeds} seeds; {about['cores']} cores,"
        f" {about['machine']}, Python {about['python']}, torch {torch.__version__}."
    )


def _write(text: str) -> None:
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


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
