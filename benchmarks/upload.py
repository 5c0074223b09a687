# SPDX-License-Identifier: Apache-2.0
"""An administrator's upload against its floor: the same bytes over a bare stream under TLS.

``ours_s`` is all that ``upload FOLDER`` takes once the console is logged in: packed, sent,
checked, unpacked, verified, validated, judged, and on the disk. ``moving_s`` is the part in
which bytes travel, and ``command_s`` a whole process ``mmar-runner admin upload FOLDER``. The
floor moves and hashes them, and does nothing else.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import floor

if TYPE_CHECKING:
    from tls import TlsFolder, Trusted

_LEAD: Final = "lead@example.org"
_MB: Final = 1_000_000


def measure(keys: TlsFolder, *, megabytes: int, repeats: int) -> dict[str, Any]:
    """Measure floor and program in turns.

    Args:
        keys: Keys of the floor, and kits.
        megabytes: Of the folder.
        repeats: How many turns.
    """
    trusted = keys.project(1)
    bare, ours, moving, command = [], [], [], []
    with tempfile.TemporaryDirectory(prefix="bench-upload-") as folder:
        workspace = Path(folder) / "ws"
        server = _server(trusted, workspace)
        try:
            address = _address(workspace, server)
            for turn in range(repeats):
                result = floor.measure(
                    clients=1, total=megabytes * _MB, rounds=2, hashed=True, tls=keys.floor
                )
                bare.append(result.round_seconds / 2)  # a round moves the bytes there and back
                mmar = _mmar(trusted, Path(folder) / f"mmar{turn}", megabytes)
                whole, part = asyncio.run(_upload(trusted, address, mmar))
                ours.append(whole)
                moving.append(part)
                shutil.rmtree(mmar)
                mmar = _mmar(trusted, Path(folder) / f"typed{turn}", megabytes)
                command.append(_typed(trusted, address, mmar))
                shutil.rmtree(mmar)
        finally:
            server.terminate()
            server.wait(30)
    floor_s, ours_s, moving_s, command_s = map(statistics.median, (bare, ours, moving, command))
    return {
        "floor_s": floor_s,
        "ours_s": ours_s,
        "moving_s": moving_s,
        "command_s": command_s,
        "share": floor_s / ours_s,
        "share_moving": floor_s / moving_s,
    }


def _server(trusted: Trusted, workspace: Path) -> subprocess.Popen[bytes]:
    any_port = "127.0.0.1:0"
    command = ["-m", "mmar_runner", "run-server", "--kit", str(trusted.kits.server)]
    options = ["--workspace", str(workspace), "--listen", any_port, "--admin-listen", any_port]
    return subprocess.Popen(
        [sys.executable, *command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _address(workspace: Path, server: subprocess.Popen[bytes]) -> str:
    endpoint = workspace / "endpoint.json"
    deadline = time.monotonic() + 30
    while not endpoint.exists():
        if server.poll() is not None or time.monotonic() > deadline:
            msg = f"the server did not begin to listen (exit code {server.returncode})"
            raise RuntimeError(msg)
        time.sleep(0.02)
    address: str = json.loads(endpoint.read_text())["admin"]
    return f"localhost:{address.rpartition(':')[2]}"


def _mmar(trusted: Trusted, folder: Path, megabytes: int) -> Path:
    """Make and sign an MMAR of so many bytes, with a name of its own."""
    shutil.copytree(trusted.mmar, folder)
    (folder / "signature.json").unlink(missing_ok=True)
    (folder / "models").mkdir(exist_ok=True)
    (folder / "models" / "start.safetensors").write_bytes(os.urandom(megabytes * _MB))
    sign = ["sign-mmar", str(folder), "--kit", str(trusted.kits.admin(_LEAD))]
    subprocess.run([sys.executable, "-m", "mmar_runner", *sign], check=True, capture_output=True)
    return folder


def _typed(trusted: Trusted, address: str, mmar: Path) -> float:
    """Upload a folder by the command of a shell; return the seconds of its process."""
    admin = ["admin", "--kit", str(trusted.kits.admin(_LEAD)), "--server", address]
    command = [sys.executable, "-m", "mmar_runner", *admin, "upload", str(mmar)]
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


async def _upload(trusted: Trusted, address: str, mmar: Path) -> tuple[float, float]:
    """Upload a folder; return the seconds of all of it, and those in which bytes travelled."""
    # Late: the processes of the floor import this folder's modules without the program.
    from mmar_runner.console.session import admin_session  # noqa: PLC0415
    from mmar_runner.console.transfers import upload  # noqa: PLC0415
    from mmar_runner.security.identity import Role  # noqa: PLC0415
    from mmar_runner.security.kits.kit import load_kit  # noqa: PLC0415

    kit = load_kit(trusted.kits.admin(_LEAD), Role.ADMIN, now=datetime.now(UTC))
    moves: list[tuple[float, int, int]] = []

    def moved(done: int, total: int) -> None:
        moves.append((time.perf_counter(), done, total))

    async with admin_session(kit, address) as session:
        began = time.perf_counter()
        await upload(session, mmar, moved=moved)
        whole = time.perf_counter() - began
    # The last chunks are acknowledged with the receipt, which says more than that they are there.
    at, done, total = moves[-2]
    return whole, (at - moves[0][0]) * total / done
