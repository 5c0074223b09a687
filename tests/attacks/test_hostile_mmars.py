# SPDX-License-Identifier: Apache-2.0
"""MMARs written to harm whoever looks at them: named, and nothing of them is executed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.hooks import load_plugins
from mmar_runner.mmar.validation import validate
from mmar_runner.testing.processes import RunningServer

ECHO = Path(__file__).parents[2] / "mmars" / "echo"
SERVER = Path("config/config_fed_server.json")
CLIENT = Path("config/config_fed_client.json")
VARIABLES = Path("config/environment.json")
DEVICE_ZERO = os.makedev(1, 5)


@pytest.fixture
def mmar(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ECHO, tmp_path / "echo"))


def codes(mmar: Path) -> set[str]:
    report = validate(mmar, load_plugins().registry).report
    return {finding.code for finding in report.findings if finding.severity == "error"}


def edit(path: Path, change: Callable[[Any], object]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(50 << 30)


def nested(mmar: Path, component: dict[str, Any], depth: int) -> None:
    for level in range(depth):
        component = {"name": "FedAvg", "args": {"inner": [component] if level % 2 else component}}
    edit(mmar / SERVER, lambda server: server.update(aggregator=component))


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "link_to_a_file_outside": (
        lambda m: (m / "config/x.json").symlink_to("/etc/passwd"),
        "MMAR103",
    ),
    "link_to_a_folder_outside": (lambda m: (m / "outside").symlink_to("/etc"), "MMAR103"),
    "pipe": (lambda m: os.mkfifo(m / "config/pipe.json"), "MMAR104"),
    "file_of_50_gib": (lambda m: sparse(m / "resources/big.bin"), "MMAR105"),
    "configuration_of_50_gib": (lambda m: sparse(m / SERVER), "MMAR105"),
    "a_million_keys": (
        lambda m: (m / VARIABLES).write_text(json.dumps({f"K{i}": 1 for i in range(1_000_000)})),
        "MMAR105",
    ),
    "json_200000_deep": (lambda m: (m / SERVER).write_text("[" * 200_000), "MMAR115"),
    "nan": (lambda m: (m / VARIABLES).write_text('{"NUM_ROUNDS": NaN}'), "MMAR112"),
    "infinity": (lambda m: (m / VARIABLES).write_text('{"NUM_ROUNDS": 1e999}'), "MMAR112"),
    "byte_order_mark": (
        lambda m: (m / SERVER).write_bytes(b"\xef\xbb\xbf" + (m / SERVER).read_bytes()),
        "MMAR113",
    ),
    "utf_16": (
        lambda m: (m / SERVER).write_bytes((m / SERVER).read_text().encode("utf-16")),
        "MMAR114",
    ),
    "rounds_beyond_counting": (
        lambda m: edit(m / VARIABLES, lambda v: v.update(NUM_ROUNDS=10**12)),
        "MMAR403",
    ),
    "model_beyond_any_disk": (
        lambda m: edit(m / VARIABLES, lambda v: v.update(MODEL_MB=1e12)),
        "MMAR514",
    ),
    "lambda": (
        lambda m: edit(m / VARIABLES, lambda v: v.update(NOISE="lambda: 1")),
        "MMAR513",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_is_an_error(mmar: Path, name: str) -> None:
    spoil, code = FILES[name]
    assert codes(mmar) == set()
    spoil(mmar)
    assert code in codes(mmar)


@pytest.mark.skipif(os.geteuid() != 0, reason="making a device needs root")
def test_a_device_is_an_error(mmar: Path) -> None:
    (mmar / SERVER).unlink()
    os.mknod(mmar / SERVER, 0o020644, DEVICE_ZERO)
    assert "MMAR104" in codes(mmar)


HIDDEN = [
    "config/x.py",
    "x.pth",
    "sitecustomize.py",
    "conftest.py",
    "__init__.py",
    "resources/run.sh",
    "custom/json.py",
    "custom/mmar_runner/__init__.py",
]


@pytest.mark.parametrize("file", HIDDEN)
def test_code_in_an_mmar_is_found_and_not_executed(
    mmar: Path, tmp_path: Path, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = tmp_path / "canary"
    path = mmar / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"open({str(canary)!r}, 'w').close()\n")
    monkeypatch.chdir(mmar)
    found = {finding.code for finding in validate(mmar, load_plugins().registry).report.findings}
    assert found & {"MMAR510", "MMAR622", "MMAR614"}
    assert not canary.exists()


CALLS = ["os.system", "os:system", "subprocess.Popen", "builtins.eval", "__import__('os')", "../x"]


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("depth", [0, 5])
@pytest.mark.parametrize("key", ["name", "path"])
def test_a_component_that_nobody_registered_is_refused_at_any_depth(
    mmar: Path, tmp_path: Path, name: str, depth: int, key: str
) -> None:
    canary = tmp_path / "canary"
    nested(mmar, {key: name, "args": {"command": f"touch {canary}"}}, depth)
    assert codes(mmar) & {"MMAR501", "MMAR503", "MMAR512"}
    assert not canary.exists()


def test_links_that_go_round_in_circles_are_not_followed(mmar: Path, tmp_path: Path) -> None:
    """Two such links double what a copy that follows them holds, forty times."""
    for name in ("loop", "loop2"):
        (mmar / name).symlink_to(".")
    with RunningServer(mmar, tmp_path / "ws") as server:
        server.address()
    copied = sorted(path.name for path in (tmp_path / "ws/run_1/mmar").iterdir())
    assert copied == ["config", "docs", "resources"]


HANGS = "(.|.|.|.|.|.|.|.)*!"


@pytest.mark.parametrize(
    "change",
    [
        lambda server: server.update(exclude_vars=HANGS),
        lambda server: server["aggregator"].update(args={"exclude_vars": HANGS}),
    ],
    ids=["server", "aggregator"],
)
def test_an_expression_that_takes_for_ever_holds_nobody_up(
    mmar: Path, tmp_path: Path, change: Callable[[Any], object]
) -> None:
    edit(mmar / SERVER, change)
    with RunningServer(mmar, tmp_path / "ws") as server:
        assert server.wait() == 1
    assert "error [EXPRESSION_TOO_SLOW]" in server.stderr
    assert not (tmp_path / "ws/endpoint.json").exists()

    edit(
        mmar / SERVER,
        lambda server: server.update(exclude_vars=None, aggregator={"name": "FedAvg"}),
    )
    with RunningServer(mmar, tmp_path / "ws") as server:
        server.address()  # what was refused is no run that would have to be finished


@pytest.mark.parametrize(
    ("expression", "code"),
    [("(" * 5000 + ")" * 5000, "MMAR403"), ("a{99999999999999999999}", "MMAR403")],
    ids=["nested", "counted"],
)
def test_an_expression_that_cannot_be_compiled_is_an_error(
    mmar: Path, expression: str, code: str
) -> None:
    edit(mmar / SERVER, lambda server: server.update(exclude_vars=expression))
    assert code in codes(mmar)


@pytest.mark.parametrize("seed", [1 << 63, 10**30])
def test_a_seed_beyond_counting_is_wrong_usage(tmp_path: Path, seed: int) -> None:
    with RunningServer(ECHO, tmp_path / "ws", "--seed", str(seed)) as server:
        assert server.wait() == 2
    assert "--seed" in server.stderr
