# SPDX-License-Identifier: Apache-2.0
"""What aggregating takes: seconds beside reading the updates once, and memory.

Updates lie in files, as the server's spool holds them, and a process of its own runs
`server/rounds/aggregation.aggregate` over them, as the server does:

    python benchmarks/combine.py FOLDER Median --clients 8

prints a JSON object: the seconds of a round, and the peak memory of the process. Reading once
means: every update file through one buffer, nothing done with it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from mmar_runner.hooks import load_plugins
from mmar_runner.hooks.components import build_component
from mmar_runner.interfaces.aggregator import (
    AggregationContext,
    Contribution,
    TensorwiseAggregator,
    UpdateKind,
)
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.interfaces.companions import CONTROL_VARIATE
from mmar_runner.server.rounds.aggregation import aggregate
from mmar_runner.server.rounds.update_blocks import Update
from mmar_runner.server.rounds.walk import Combination
from mmar_runner.storage.dtypes import numpy_dtype
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter
from mmar_runner_secagg.secure_sum import SecureSum
from plan import mib
from processes import Process, peak_rss_bytes
from secure_round import unmask

#: Every rule that is bundled, with arguments for 8 clients.
RULES: Final[Mapping[str, dict[str, Any]]] = {
    "FedAvg": {},
    "Median": {},
    "TrimmedMean": {"num_malicious": 2},
    "Krum": {"num_malicious": 2},
    "MultiKrum": {"num_malicious": 2},
    "Bulyan": {"num_malicious": 1},
    "GeometricMedian": {},
    "NormClipping": {"max_norm": 1.0},
    "FedAvgM": {},
    "FedAdagrad": {},
    "FedYogi": {},
    "FedAdam": {},
    "DPFedAvg": {"max_norm": 1.0, "noise_multiplier": 1.0, "max_epsilon": 1e6},
    "Scaffold": {},
    "SecureSum": {},
}
#: Those that take nothing else.
_DIFFERENCES: Final = frozenset({"Scaffold", "SecureSum"})
#: Half of an update's tensors could be control variates, which are summed in another way.
_NAMES: Final = tuple(
    f"{kind}tensor_{number}" for number in range(5) for kind in ("", f"{CONTROL_VARIATE}/")
)
_PIECE: Final = 1 << 18
_TIMEOUT: Final = 1800.0


def measure(
    *, megabytes: float, clients: int, rules: Sequence[str], repeats: int = 1
) -> dict[str, Any]:
    """Write updates, and combine them by every rule, in a process of its own each.

    Args:
        megabytes: Of a model, in millions of bytes.
        clients: How many updates there are.
        rules: Names of `RULES`.
        repeats: How often each is timed.

    Returns:
        For each rule ``seconds``, ``read_s`` (the updates, once), ``ratio`` of the two and
        ``rss_mib``; and the greatest of these as ``most_mib``.
    """
    with tempfile.TemporaryDirectory(prefix="combine-") as folder:
        elements = max(1, int(megabytes * 1e6 / 4 / len(_NAMES)))
        for client in range(clients):
            _write(Path(folder, f"update_{client}"), elements, client)
        found: dict[str, Any] = {}
        for rule in rules:
            command = [sys.executable, __file__, folder, rule, "--clients", str(clients)]
            process = Process([*command, "--repeats", str(repeats)])
            found[rule] = json.loads(process.wait(timeout=_TIMEOUT))
    return {**found, "most_mib": max(one["rss_mib"] for one in found.values())}


def combined(folder: Path, name: str, clients: int, repeats: int) -> dict[str, float]:
    """Combine the updates of a folder by one rule, in this process.

    Returns:
        See `measure`.
    """
    rule = build_component(
        load_plugins().registry,
        ComponentKind.AGGREGATOR,
        {"name": name, "args": RULES[name]},
        TensorwiseAggregator,
    )
    paths = [folder / f"update_{client}" for client in range(clients)]
    base = paths[0]
    if rule.takes is not None:
        paths = [_as_whole(path) for path in paths]
    kind = UpdateKind.WEIGHT_DIFF if name in _DIFFERENCES else UpdateKind.WEIGHTS
    updates = [
        Update(Contribution(path.name, 1.0 + i, kind), partial(TensorReader, path))
        for i, path in enumerate(paths)
    ]
    context = AggregationContext(0, 1, 0, clients, clients, secret=bytes(32))
    if isinstance(rule, SecureSum):
        unmask(rule, [path.name for path in paths], context, folder)
    work = Combination(rule, base, updates, context)
    _read(paths)  # whatever was not in the system's memory is, from now on
    work = _again(work, folder)  # from the second round on there is something that was kept
    reads, rounds = [], []
    for _ in range(repeats):
        reads.append(_seconds(partial(_read, paths)))
        rounds.append(_seconds(partial(_again, work, folder)))
    seconds, read = statistics.median(rounds), statistics.median(reads)
    return {
        "seconds": seconds,
        "read_s": read,
        "ratio": seconds / read,
        "rss_mib": mib(peak_rss_bytes()),
    }


def _again(work: Combination, folder: Path) -> Combination:
    """Do a round; return the next one, which finds what the rule has kept."""
    kept, found = folder / "kept", folder / "found"
    made = aggregate(work, folder / "result", durable=False, state=kept)
    return replace(work, state=kept.replace(found)) if made.state_sha256 else work


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _read(paths: Sequence[Path]) -> None:
    buffer = np.empty(_PIECE, dtype=np.float32)
    for path in paths:
        with TensorReader(path) as reader:
            for info in reader.header.tensors.values():
                piece = buffer.view(numpy_dtype(info.dtype))  # all that are written have 4 bytes
                for start, count in _pieces(info.count):
                    reader.read_into(info.name, start, piece[:count])


def _as_whole(path: Path) -> Path:
    """Write the same bits as whole numbers, which masked ones look like."""
    whole, buffer = path.with_name(f"whole_{path.name}"), np.empty(_PIECE, dtype=np.float32)
    with TensorReader(path) as reader:
        infos = list(reader.header.tensors.values())
        with TensorWriter(whole, [(i.name, "I32", i.shape) for i in infos]) as writer:
            for info in infos:
                for start, count in _pieces(info.count):
                    reader.read_into(info.name, start, buffer[:count])
                    writer.write(info.name, buffer[:count].view(np.int32))
            writer.commit()
    return whole


def _write(path: Path, elements: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    listed = [(name, "F32", (elements,)) for name in _NAMES]
    with TensorWriter(path, listed) as writer:
        for name, *_ in listed:
            for _, count in _pieces(elements):
                writer.write(name, random.standard_normal(count, dtype=np.float32))
        writer.commit()


def _pieces(elements: int) -> Iterator[tuple[int, int]]:
    for start in range(0, elements, _PIECE):
        yield start, min(_PIECE, elements - start)


def main() -> int:
    """Combine the updates of a folder and print what it took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("rule", choices=list(RULES))
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--repeats", type=int, default=1)
    asked = parser.parse_args()
    found = combined(asked.folder, asked.rule, asked.clients, asked.repeats)
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
