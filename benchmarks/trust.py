# SPDX-License-Identifier: Apache-2.0
"""What trust costs: signing, verifying, explaining beside hashing the same files.

Each figure is the wall time of a whole process, its start included. Before each, the
MMAR's files are dropped from the page cache, as far as the system does so when asked, and
program and floor take turns. ``ratio`` is ours over the floor: a bare loop that hashes the
same files one after the other. One JSON object a case and line; times in seconds, medians.

    make bench-trust TRUST="--files 50 --megabytes 50"
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).resolve().parent.parent
_ADMIN: Final = "lead@example.org"
_SITE: Final = "site-1"
#: The MMAR that is measured with, unless another is asked for.
_FILES: Final = 200
_MEGABYTES: Final = 200
_PROJECT: Final = f"""\
name: benchmark
config_folder: config
server:
  org: example
  cn: localhost
  fed_learn_port: 8002
  admin_port: 8003
  min_num_clients: 1
  max_num_clients: 10
fl_clients:
  - org: example
    client_name: {_SITE}
admin_clients:
  - org: example
    email: {_ADMIN}
"""
_FLOOR: Final = """
import hashlib, os, sys
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        with open(os.path.join(folder, name), "rb") as file:
            hashlib.file_digest(file, "sha256").hexdigest()
"""


@dataclass(frozen=True, slots=True)
class Job:
    """What is measured with.

    Attributes:
        mmar: An MMAR of the asked size.
        small: A small one.
        kits: The start-up kits of a project.
        store: Where a site keeps copies.
    """

    mmar: Path
    small: Path
    kits: Path
    store: Path

    def sign(self) -> list[str]:
        """Return the call that signs it."""
        return self._sign(self.mmar)

    def sign_small(self) -> list[str]:
        """Return the call that signs the small one."""
        return self._sign(self.small)

    def _sign(self, mmar: Path) -> list[str]:
        return [*_program("sign-mmar"), str(mmar), "--kit", str(self.kits / _ADMIN)]

    def verify(self) -> list[str]:
        """Return the call that verifies it as a site does."""
        call = [*_program("verify-mmar"), str(self.mmar), "--kit", str(self.kits / _SITE)]
        return [*call, "--delivered"]

    def explain(self) -> list[str]:
        """Return the call that says which rules decide about it."""
        return self._explain(self.mmar)

    def explain_small(self) -> list[str]:
        """Return the same call about an MMAR that is configuration and nothing else."""
        return self._explain(self.small)

    def _explain(self, mmar: Path) -> list[str]:
        call = [*_program("policy"), "explain", str(mmar), "--kit", str(self.kits / _SITE)]
        return [*call, "--action", "run"]

    def admit(self) -> list[str]:
        """Return the call that does all that a site does before it runs an MMAR."""
        if self.store.exists():
            _discard(self.store)
        return self.admit_again()

    def admit_again(self) -> list[str]:
        """Return the same call where the store has the MMAR already."""
        script = Path(__file__).with_name("admission.py")
        return [sys.executable, *map(str, (script, self.mmar, self.kits / _SITE, self.store))]

    def floor(self, *, small: bool) -> list[str]:
        """Return the call that only hashes the files."""
        return [sys.executable, "-c", _FLOOR, str(self.small if small else self.mmar)]


_CASES: Final[dict[str, Callable[[Job], list[str]]]] = {
    "sign": Job.sign,
    "verify": Job.verify,
    "explain": Job.explain,
    "explain-small": Job.explain_small,
    "admit": Job.admit,
    "admit-again": Job.admit_again,
}


def main() -> None:
    """Measure the asked cases."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--case", action="append", choices=list(_CASES), help="only this case")
    parser.add_argument("--files", type=int, default=_FILES, help="files of the MMAR")
    parser.add_argument("--megabytes", type=int, default=_MEGABYTES, help="their size together")
    parser.add_argument("--repeats", type=int, default=5, help="how often each is measured")
    options = parser.parse_args()
    sizes = {"files": options.files, "megabytes": options.megabytes}
    for case, line in _lines(options.case or list(_CASES), repeats=options.repeats, **sizes):
        print(json.dumps({"case": case, **line}), flush=True)


def measure(cases: Sequence[str], *, repeats: int) -> dict[str, dict[str, float]]:
    """Measure some cases with an MMAR of 200 files and 200 MB; return their figures by case."""
    return dict(_lines(cases, repeats=repeats, files=_FILES, megabytes=_MEGABYTES))


def _lines(
    cases: Sequence[str], *, repeats: int, files: int, megabytes: int
) -> Iterator[tuple[str, dict[str, float]]]:
    with tempfile.TemporaryDirectory(prefix="bench-trust-") as folder:
        job = _prepare(Path(folder), files, megabytes * 1_000_000)
        for call in (Job.sign, Job.sign_small, Job.admit):  # what is verified is signed
            _seconds(job, call(job))
        for case in cases:
            yield case, _measure(job, _CASES[case], repeats)


def _measure(job: Job, case: Callable[[Job], list[str]], repeats: int) -> dict[str, float]:
    ours, floors = [], []
    for _ in range(repeats):
        floors.append(_seconds(job, job.floor(small=case is Job.explain_small)))
        ours.append(_seconds(job, case(job)))
    ours_s, floor_s = statistics.median(ours), statistics.median(floors)
    measured = job.small if case is Job.explain_small else job.mmar
    sizes = [path.stat().st_size for path in measured.rglob("*") if path.is_file()]
    return {
        "files": len(sizes),
        "megabytes": round(sum(sizes) / 1e6, 1),
        "ours_s": round(ours_s, 3),
        "ours_slowest_s": round(max(ours), 3),
        "floor_s": round(floor_s, 3),
        "ratio": round(ours_s / floor_s, 3),
    }


def _seconds(job: Job, call: list[str]) -> float:
    _forget(job.mmar)
    started = time.perf_counter()
    subprocess.run(call, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def _forget(folder: Path) -> None:
    """Have the system drop a folder's files from its page cache."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fdatasync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


def _discard(store: Path) -> None:
    """Delete a store; its folders are read-only."""
    for folder, _, _ in os.walk(store):
        Path(folder).chmod(0o755)
    shutil.rmtree(store)


def _prepare(folder: Path, files: int, size: int) -> Job:
    """Make a project's kits and an MMAR of so many files and bytes."""
    names = ("job", "small", "kits", "store")
    job = Job(*(folder / name for name in names))
    for mmar in (job.mmar, job.small):
        unwanted = shutil.ignore_patterns("__pycache__")
        shutil.copytree(_ROOT / "mmars" / "echo", mmar, ignore=unwanted)
    present = sum(1 for path in job.mmar.rglob("*") if path.is_file())
    models, chance = job.mmar / "models", random.Random(0)
    models.mkdir()
    for index in range(max(1, files - present)):
        content = chance.randbytes(size // max(1, files - present))
        (models / f"part_{index:05d}.safetensors").write_bytes(content)
    project = folder / "project.yml"
    project.write_text(_PROJECT)
    call = [*_program("provision"), str(project), "--out", str(job.kits)]
    subprocess.run(call, check=True, stdout=subprocess.DEVNULL)
    return job


def _program(command: str) -> list[str]:
    return [sys.executable, "-m", "mmar_runner", command]


if __name__ == "__main__":
    main()
