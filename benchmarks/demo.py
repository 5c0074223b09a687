# SPDX-License-Identifier: Apache-2.0
"""Three hospitals train one model over gRPC; then each tries it alone. Run by `make demo`.

One server and three clients, each a process of its own as on four machines, run
``mmars/breast_cancer``. The table at the end says what it was good for.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from statistics import mean
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from baselines import Comparison, Measured

MMAR: Final = Path(__file__).resolve().parent.parent / "mmars" / "breast_cancer"
HOSPITALS: Final = 3
_START_SECONDS: Final = 60.0
_RUN_SECONDS: Final = 300.0
_POLL_SECONDS: Final = 0.02


def main() -> None:
    """Run the demonstration and print its table, or JSON."""
    options = _options()
    scratch = None if options.workspace else tempfile.mkdtemp(prefix="mmar-runner-demo-")
    folder = Path(scratch or options.workspace).resolve()
    if (folder / "server").exists():
        sys.exit(f"{folder} holds a demonstration already; name another folder")
    began = time.monotonic()
    settings = {"DATA_SEED": options.seed}
    if options.rounds is not None:
        settings["NUM_ROUNDS"] = options.rounds
    summary = federate(folder, options.seed, settings, quiet=options.json)
    results = compare(folder, options.seed, settings, summary)
    seconds = time.monotonic() - began
    if options.json:
        print(json.dumps(_as_json(options.seed, results, summary, seconds), indent=2))
    else:
        _show(results, summary, seconds)
    if scratch is not None:  # after a failure it stays, with the logs that tell why
        shutil.rmtree(scratch)
        if not options.json:
            print("The files of the run are removed; --workspace FOLDER keeps them.")


def federate(
    folder: Path, seed: int, settings: Mapping[str, Any], *, quiet: bool
) -> dict[str, Any]:
    """Run one server and three clients, each in a process, and return the run's summary.

    Args:
        folder: Where they keep their files.
        seed: The run's seed.
        settings: The ``--set`` values for all of them.
        quiet: True to keep the server's progress off the screen.
    """
    pairs = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    with ExitStack() as stack:
        command = ["run-server", str(MMAR), "--workspace", str(folder / "server")]
        command += ["--listen", "127.0.0.1:0", "--insecure", "--keep-models", "all"]
        command += ["--seed", str(seed), *pairs]
        server = _start(stack, command, folder / "server.log" if quiet else None)
        address = _address(folder / "server" / "endpoint.json", server)
        clients = []
        for number in range(1, HOSPITALS + 1):
            command = ["run-client", str(MMAR), "--server", address, "--name", f"site-{number}"]
            command += ["--workspace", str(folder / "clients"), "--insecure", *pairs]
            clients.append(_start(stack, command, folder / f"site-{number}.log"))
        _await([server, *clients], folder)
    summary: dict[str, Any] = json.loads((folder / "server/run_1/summary.json").read_text())
    return summary


def compare(
    folder: Path, seed: int, settings: Mapping[str, Any], summary: Mapping[str, Any]
) -> list[Measured]:
    """Return the hospitals alone, the federation and the pooled model, in this order."""
    run = folder / "server" / "run_1"
    contributions = summary["rounds"][-1]["contributions"]
    return Comparison(
        mmar=MMAR,
        hospitals=HOSPITALS,
        seed=seed,
        settings=settings,
        first_model=run / "models" / "round_0000.safetensors",
        final_model=run / summary["final_model"],
        samples=round(sum(one["num_samples"] for one in contributions)),
        folder=folder / "baselines",
    ).run()


def _start(stack: ExitStack, command: list[str], log: Path | None) -> subprocess.Popen[bytes]:
    """Start a command of the program; it is ended, at the latest, with the stack."""
    output = None
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        output = stack.enter_context(log.open("wb"))
    program = [sys.executable, "-m", "mmar_runner", *command]
    process = subprocess.Popen(program, stdout=output, stderr=output)
    stack.callback(_end, process)
    return process


def _await(processes: Sequence[subprocess.Popen[bytes]], folder: Path) -> None:
    """Wait until all have ended well; the server would wait for a client that failed."""
    deadline = time.monotonic() + _RUN_SECONDS
    while any(process.poll() is None for process in processes):
        if any(process.poll() for process in processes) or time.monotonic() > deadline:
            break
        time.sleep(_POLL_SECONDS)
    if any(process.poll() != 0 for process in processes):
        sys.exit(f"a process of the demonstration failed; the logs are in {folder}")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        process.wait(timeout=30)


def _address(endpoint: Path, server: subprocess.Popen[bytes]) -> str:
    """Wait until the server accepts connections and return where."""
    deadline = time.monotonic() + _START_SECONDS
    while not endpoint.exists():
        if server.poll() is not None or time.monotonic() > deadline:
            sys.exit("the server did not start")
        time.sleep(_POLL_SECONDS)
    return str(json.loads(endpoint.read_text())["listen"])


def _show(results: Sequence[Measured], summary: Mapping[str, Any], seconds: float) -> None:
    table = Table(title="Measured on the union of what the hospitals hold out")
    table.add_column("trained by")
    for heading in ("on cases", "AUC", "accuracy"):
        table.add_column(heading, justify="right")
    for one in results[:HOSPITALS]:
        table.add_row(*_row(one))
    table.add_row(*_row(_alone(results)), style="dim", end_section=True)
    table.add_row(*_row(results[HOSPITALS]), style="bold")
    table.add_row(*_row(results[-1]))
    console = Console()
    console.print()
    console.print(table)
    rounds, wall = len(summary["rounds"]), summary["wall_seconds"]
    console.print(f"{rounds} rounds over gRPC in {wall:.1f} s; no hospital showed a case.")
    console.print(f"The whole demonstration took {seconds:.1f} s.")


def _row(one: Measured) -> tuple[str, str, str, str]:
    return one.who, str(one.samples), f"{one.auc:.4f}", f"{one.accuracy:.1%}"


def _alone(results: Sequence[Measured]) -> Measured:
    alone = results[:HOSPITALS]
    return Measured(
        "mean of the hospitals alone",
        round(mean(one.samples for one in alone)),
        mean(one.auc for one in alone),
        mean(one.accuracy for one in alone),
    )


def _as_json(
    seed: int, results: Sequence[Measured], summary: Mapping[str, Any], seconds: float
) -> dict[str, Any]:
    return {
        "seed": seed,
        "alone": [asdict(one) for one in results[:HOSPITALS]],
        "mean_alone": asdict(_alone(results)),
        "federation": asdict(results[HOSPITALS]),
        "pooled": asdict(results[-1]),
        "rounds": len(summary["rounds"]),
        "federation_seconds": summary["wall_seconds"],
        "seconds": round(seconds, 1),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Three hospitals train one model.")
    parser.add_argument("--seed", type=int, default=0, help="of the training and of the data's cut")
    parser.add_argument("--rounds", type=int, help="instead of the MMAR's")
    parser.add_argument("--workspace", type=Path, help="keep all files in this new folder")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser.parse_args()


if __name__ == "__main__":
    main()
