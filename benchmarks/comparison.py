# SPDX-License-Identifier: Apache-2.0
"""What comparisons of whole trainings share: simulations, accuracies, results, pages."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from torch.utils.data import DataLoader

from mmar_runner_sklearn.digits import DigitsDataset
from mmar_runner_torch.files import read_state
from mmar_runner_torch.models import SmallConvNet

ROOT: Final = Path(__file__).resolve().parent.parent
DIGITS: Final = ROOT / "mmars" / "digits_cnn"


def simulated(
    archive: Path,
    workspace: Path,
    settings: Mapping[str, object],
    *options: str,
    clients: int,
    rounds: int,
    seed: int,
) -> subprocess.CompletedProcess[bytes]:
    """Simulate an MMAR in processes of its own; whatever goes wrong, they have said.

    Args:
        archive: The MMAR.
        workspace: For the run.
        settings: What ``--set`` gives.
        options: Further ones.
        clients: How many sites there are, all in every round.
        rounds: How many.
        seed: Of the run.
    """
    command = [sys.executable, "-m", "mmar_runner", "simulate", str(archive), "--json"]
    command += ["--clients", str(clients), "--rounds", str(rounds), "--seed", str(seed)]
    command += ["--workspace", str(workspace), *options]
    for variable, value in settings.items():
        command += ["--set", f"{variable}={value}"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(command, check=False, stdout=subprocess.DEVNULL, env=environment)


def digits_archive(
    archive: Path,
    aggregator: Mapping[str, Any],
    *,
    trainer: Mapping[str, Any],
    outbound_filters: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write mmars/digits_cnn anew with other parts, and without its handlers.

    Args:
        archive: Where.
        aggregator: As it is declared.
        trainer: Arguments that the trainer gets besides.
        outbound_filters: Of the clients.
    """
    (archive / "config").mkdir(parents=True)
    for source in (DIGITS / "config").iterdir():
        config = json.loads(source.read_text())
        if source.name == "config_fed_server.json":
            config["aggregator"] = aggregator
            del config["handlers"]
        if source.name == "config_fed_client.json":
            config["client_trainer"]["args"] |= trainer
            config["client"]["outbound_filters"] = list(outbound_filters)
        (archive / "config" / source.name).write_text(json.dumps(config, indent=2))


def digits_accuracy(model: Path, seed: int = 0) -> float:
    """Return a model's accuracy on the held-out images of all sites.

    Args:
        model: Of mmars/digits_cnn; tensors that the network lacks do not count.
        seed: Of the split.
    """
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


@dataclass(slots=True)
class Results:
    """Accuracies by what they are of; in a file, if there is one, so that none is run twice."""

    path: Path | None = None
    known: dict[str, float] = field(default_factory=dict)

    def load(self) -> None:
        """Read what the file holds."""
        if self.path is not None and self.path.exists():
            for line in self.path.read_text().splitlines():
                told = json.loads(line)
                self.known[json.dumps(told["key"])] = told["accuracy"]

    def of(self, key: Sequence[Any], measure: Callable[[], float]) -> float:
        """Return the accuracy of something, which is measured if it is not known."""
        name = json.dumps(key)
        if name not in self.known:
            self.known[name] = measure()
            sys.stderr.write(f"{name}: {self.known[name]:.4f}\n")
            if self.path is not None:
                with self.path.open("a") as file:
                    file.write(json.dumps({"key": key, "accuracy": self.known[name]}) + "\n")
        return self.known[name]


def seeds_table(
    what: str, rows: Mapping[str, Sequence[float]], shown: Callable[[float], str]
) -> str:
    """Return figures as Markdown: mean, least and greatest over the seeds, and each.

    Args:
        what: The heading of the rows' names.
        rows: Figures by seed, by row.
        shown: Writes one.
    """
    head = f"| {what} | mean | least | greatest | of each seed |\n|---|---|---|---|---|\n"
    return head + "".join(
        f"| {name} | {shown(statistics.mean(found))} | {shown(min(found))} | {shown(max(found))} |"
        f" {', '.join(map(shown, found))} |\n"
        for name, found in rows.items()
        if found
    )


def on_machine(about: Mapping[str, Any]) -> str:
    """Return in words what figures depend on besides the command; see `page.machine`."""
    return f"{about['cores']} cores, {about['machine']}, Python {about['python']}"


def write_between(page: Path, text: str, begin: str, end: str) -> None:
    """Put a text on a page between two marks, in place of what stands there."""
    before, _, rest = page.read_text().partition(begin)
    _, _, after = rest.partition(end)
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}")
