# SPDX-License-Identifier: Apache-2.0
"""What a machine has, as it is told; the accelerators, as a program tells them."""

import json
import os
import time
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from mmar_runner import __version__
from mmar_runner.documents.schema_store import load_schema
from mmar_runner.shell import accelerators as asked
from mmar_runner.shell import system_info as told
from mmar_runner.shell.accelerators import accelerators
from mmar_runner.shell.system_info import system_info

VALIDATOR = Draft202012Validator(load_schema("system_info"))


def test_this_machine_fits_the_schema(tmp_path):
    info = system_info(tmp_path)
    VALIDATOR.validate(json.loads(json.dumps(info)))
    assert info["processor"]["cores"] >= info["processor"]["usable_cores"] >= 1
    memory = info["memory"]
    assert memory["total_bytes"] > memory["available_bytes"] > 0
    assert memory["total_bytes"] > memory["process_bytes"] > 1_000_000
    assert info["disk"]["total_bytes"] >= info["disk"]["free_bytes"] >= 0
    assert info["runner"] == __version__
    assert str(tmp_path) not in json.dumps(info)


def test_what_the_system_does_not_tell_is_null(tmp_path, monkeypatch):
    def no_load():
        raise OSError

    monkeypatch.setattr(told, "_PROC", tmp_path)
    monkeypatch.setattr(os, "getloadavg", no_load)
    info = system_info(tmp_path / "missing")
    VALIDATOR.validate(info)
    assert info["memory"] == dict.fromkeys(("total_bytes", "available_bytes", "process_bytes"))
    assert info["disk"] == {"total_bytes": None, "free_bytes": None}
    assert info["processor"]["model"] is info["processor"]["load"] is None


def test_odd_files_of_the_system_are_read_or_null(tmp_path, monkeypatch):
    monkeypatch.setattr(told, "_PROC", tmp_path)
    (tmp_path / "meminfo").write_text("MemTotal: 12 kB\nMemAvailable: many kB\n")
    (tmp_path / "cpuinfo").write_bytes(b"x: y\nmodel name\t: Odd \x1b\xff \nmodel name: other\n")
    info = system_info(tmp_path)
    VALIDATOR.validate(info)
    assert info["memory"]["total_bytes"] == 12 * 1024
    assert info["memory"]["available_bytes"] is None
    assert info["processor"]["model"].startswith("Odd \\x1b")


def program(folder: Path, text: str) -> Path:
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_every_accelerator_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH_OF_OURS", "is not its business")
    smi = program(
        tmp_path,
        'test "$1" = --query-gpu=name,memory.total,memory.used,utilization.gpu || exit 1\n'
        'test "$2" = --format=csv,noheader,nounits || exit 1\n'
        'test -z "$PATH_OF_OURS" || exit 1\n'
        "echo 'NVIDIA H100 80GB HBM3, 81559, 4, 7'\necho 'Odd, [N/A], [Not Supported], x'\n"
        "echo 'too, few'",
    )
    found = accelerators([tmp_path / "absent", smi])
    assert found == [
        {
            "name": "NVIDIA H100 80GB HBM3",
            "memory_total_bytes": 81_559 << 20,
            "memory_used_bytes": 4 << 20,
            "utilization_percent": 7,
        },
        {
            "name": "Odd",
            "memory_total_bytes": None,
            "memory_used_bytes": None,
            "utilization_percent": None,
        },
    ]


def test_a_program_that_fails_or_is_none_tells_of_nothing(tmp_path):
    assert accelerators([]) == []
    assert accelerators([program(tmp_path, "echo 'a, 1, 2, 3'; exit 9")]) == []
    (tmp_path / "nvidia-smi").write_bytes(b"\x7fELF no program")
    assert accelerators([tmp_path / "nvidia-smi"]) == []
    (tmp_path / "nvidia-smi").chmod(0)
    assert accelerators([tmp_path / "nvidia-smi"]) == []


def test_a_program_that_does_not_answer_is_not_waited_for(tmp_path):
    path = program(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 600")
    begun = time.monotonic()
    assert accelerators([path], seconds=0.5) == []
    assert time.monotonic() - begun < 60
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_it_is_looked_for_in_fixed_places_only(tmp_path, monkeypatch):
    program(tmp_path, "echo 'Planted, 1, 2, 3'")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert all(path.is_absolute() for path in asked.PROGRAMS)
    assert "Planted" not in str(system_info(tmp_path))
