# SPDX-License-Identifier: Apache-2.0
"""Three hospitals train one model over gRPC; then each tries it alone. Run by `make demo`.

One server and three clients, each a process of its own as on four machines, run
``mmars/breast_cancer``: with start-up kits, TLS and a signed MMAR, or with ``--insecure``
as a first look. Every command that is run is said. The table at the end says what it was
good for.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from baselines import Comparison, Measured
from demo_federation import HOSPITALS, MMAR, Demonstration
from demo_table import as_json, say_what_is_next, show


def main() -> None:
    """Run the demonstration and print its table, or JSON."""
    options = _options()
    scratch = None if options.workspace else tempfile.mkdtemp(prefix="mmar-runner-demo-")
    folder = Path(scratch or options.workspace).resolve()
    if (folder / "server").exists():
        sys.exit(f"{folder} holds a demonstration already; name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    settings = {"DATA_SEED": options.seed} if options.seed else {}  # 0 is the MMAR's own
    if options.rounds is not None:
        settings["NUM_ROUNDS"] = options.rounds
    summary = Demonstration(folder, options.seed, settings, quiet=options.json).run(
        insecure=options.insecure
    )
    results = compare(folder, options.seed, settings, summary)
    seconds = time.monotonic() - began
    if options.json:
        print(json.dumps(as_json(options.seed, results, summary, seconds), indent=2))
    else:
        show(results, summary, seconds)
    if scratch is not None:  # after a failure it stays, with the logs that tell why
        shutil.rmtree(scratch)
    if not options.json:
        say_what_is_next(folder if scratch is None else None)


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


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Three hospitals train one model.")
    parser.add_argument("--insecure", action="store_true", help="plain text, unsigned, no kits")
    parser.add_argument("--seed", type=int, default=0, help="of the training and of the data's cut")
    parser.add_argument("--rounds", type=int, help="instead of the MMAR's")
    parser.add_argument("--workspace", type=Path, help="keep all files in this new folder")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser.parse_args()


if __name__ == "__main__":
    main()
