# SPDX-License-Identifier: Apache-2.0
"""What codecs and compression save and cost: bytes on their way, seconds a round, the loss.

One server and two clients as processes on loopback, each sample with every ``update_codec`` and
with and without ``compression``. Seconds are the median of the rounds after the first; bytes are
those of one round, all clients together. Processor seconds are those of the whole run and of all
its processes, their start included: on a machine that has other work too they say more than
the clock. One JSON object a line, then a table.

    python benchmarks/travel.py --megabytes 50 --rounds 6
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from mmar_runner.interfaces.observer import Topic
from mmar_runner.testing.processes import RunningClient, RunningServer

_MMARS: Final = Path(__file__).resolve().parent.parent / "mmars"
_CODECS: Final = ("none", "fp16", "bf16")
_COMPRESSIONS: Final = ("none", "zstd")
_SITES: Final = ("site-1", "site-2")
#: No run takes longer, in seconds.
_LIMIT: Final = 500.0
_COLUMNS: Final = (
    "sample",
    "update_codec",
    "compression",
    "updates",
    "models",
    "s",
    "cpu_s",
    "codec_error",
)


def main() -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=float, default=50, help="of echo's model")
    parser.add_argument("--rounds", type=int, default=6, help="of each run")
    parser.add_argument("--sample", choices=("echo", "digits_cnn"), action="append")
    options = parser.parse_args()
    rows = []
    for sample in options.sample or ("echo", "digits_cnn"):
        for row in measured(sample, options.megabytes, options.rounds):
            sys.stdout.write(json.dumps(row) + "\n")
            sys.stdout.flush()
            rows.append(row)
    sys.stdout.write(table(rows))
    return 0


def measured(sample: str, megabytes: float, rounds: int) -> Iterator[dict[str, Any]]:
    """Yield what each way of travelling gives for a sample."""
    for codec in _CODECS:
        for compression in _COMPRESSIONS:
            with tempfile.TemporaryDirectory(prefix="travel-") as name:
                folder = Path(name)
                mmar = prepared(folder, sample, update_codec=codec, compression=compression)
                variables: dict[str, float] = {"NUM_ROUNDS": rounds, "MIN_NUM_CLIENTS": len(_SITES)}
                if sample == "echo":
                    variables |= {"MODEL_MB": megabytes, "NOISE": 1.0}
                way = {"sample": sample, "update_codec": codec, "compression": compression}
                yield way | run(folder, mmar, variables)


def prepared(folder: Path, sample: str, **keys: str) -> Path:
    """Return a copy of a sample whose server file has further keys."""
    mmar = Path(shutil.copytree(_MMARS / sample, folder / "mmar"))
    path = mmar / "config" / "config_fed_server.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))
    return mmar


def run(folder: Path, mmar: Path, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Run a federation to its end and return bytes, seconds and loss of a round."""
    before = _processor_seconds()
    with RunningServer(mmar, folder / "ws", variables=variables) as server:
        address = server.address()
        clients = [
            RunningClient(mmar, address, site, folder / "c", variables=variables) for site in _SITES
        ]
        with clients[0], clients[1]:
            if server.wait(timeout=_LIMIT):
                raise SystemExit(server.stdout + server.stderr)
            for client in clients:
                client.wait()
        later = server.summary()["rounds"][1:]
        last = later[-1]
        sent = server.observations(Topic.MODEL_SENT, round=last["round"])
    return {
        "updates": last["received_wire_bytes"],
        "models": sum(one["wire_bytes"] for one in sent),
        "s": round(statistics.median(one["seconds"] for one in later), 3),
        "cpu_s": round(_processor_seconds() - before, 1),
        "codec_error": max(one["codec_error"] for one in last["contributions"]),
    }


def _processor_seconds() -> float:
    """Return what all processes have used that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a table of Markdown."""
    lines = [" | ".join(_COLUMNS), "|".join("---" for _ in _COLUMNS)]
    for row in rows:
        cells = {**row, "codec_error": f"{row['codec_error']:.2g}"}
        cells |= {name: f"{row[name]:,}" for name in ("updates", "models")}
        lines.append(" | ".join(str(cells[name]) for name in _COLUMNS))
    return "".join(f"| {line} |\n" if "---" not in line else f"|{line}|\n" for line in lines)


if __name__ == "__main__":
    raise SystemExit(main())
