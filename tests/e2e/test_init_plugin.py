# SPDX-License-Identifier: Apache-2.0
"""`init plugin --kind`: what is begun can be installed, keeps its contract, and runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.cli.templates import plugin_kinds
from mmar_runner.interfaces.catalog import ComponentKind

pytestmark = [pytest.mark.timeout(300)]

PIP = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target")
#: Kinds that a group takes from PyTorch, and one that nobody asks yet.
NOT_BEGUN = {
    *("optimizer", "lr_scheduler", "transform", "dataloader", "inferer"),
    *("engine", "engine_handler", "client_algo"),
}
#: What no MMAR names.
OF_NO_MMAR = {"admin_cmd_module"}
#: What needs no PyTorch, all of it in one MMAR; the rest is in another.
PLAIN = {
    *("aggregator", "client_trainer", "filter", "handler"),
    *("model_persistor", "model_validator", "result_processor", "workflow"),
}


@dataclass
class Work:
    """A folder with a new plugin of every kind, installed beside the program."""

    folder: Path

    @property
    def packages(self) -> Path:
        return self.folder / "packages"

    def plugin(self, kind: str) -> Path:
        return self.folder / f"own.{kind.replace('_', '-')}"  # any name that is one

    def python(self, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(self.packages), *sys.path])
        done = subprocess.run(
            [sys.executable, *map(str, words)],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": path, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        return done

    def program(self, *words: object, **environment: str) -> str:
        return self.python("-m", "mmar_runner", *words, **environment).stdout

    def named_as_said(self, mmar: str, kinds: Sequence[str]) -> None:
        """Name plugins in an MMAR in the way that their own READMEs say."""
        for kind in kinds:
            text = (self.plugin(kind) / "README.md").read_text()
            said = re.search(r"Use it in `(\S+)`.*```json\n(.*?)```", text, re.DOTALL)
            assert said is not None, text
            section = {"metric": "validate"}.get(kind, "" if kind in PLAIN else "train")
            self.merge(self.folder / mmar / said[1], section, json.loads(f"{{{said[2]}}}"))

    def merge(self, file: Path, section: str, values: dict[str, Any]) -> None:
        document = json.loads(file.read_text())
        (document[section] if section else document).update(values)
        file.write_text(json.dumps(document))

    def summary(self, mmar: str, *options: str) -> dict[str, Any]:
        told = self.program("simulate", mmar, "--clients", "3", "--rounds", "2", "--json", *options)
        summary: dict[str, Any] = json.loads(told)
        assert summary["status"] == "finished"
        return summary


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    work = Work(tmp_path_factory.mktemp("work"))
    for kind in plugin_kinds():
        work.program("init", "plugin", work.plugin(kind).name, "--kind", kind)
    work.python(*PIP, work.packages, *map(work.plugin, plugin_kinds()))
    return work


def test_what_can_be_begun_are_kinds_of_components() -> None:
    assert set(plugin_kinds()) == set(ComponentKind) - NOT_BEGUN


def test_every_kind_is_found_and_well(work: Work) -> None:
    only = ",".join(work.plugin(kind).name for kind in plugin_kinds())
    listed = json.loads(work.program("plugins", "list", "--json", MMAR_RUNNER_PLUGINS=only))
    own = {c["kind"] for c in listed["components"] if c["name"].startswith("Own")}
    assert own == set(plugin_kinds())
    assert "0 problems" in work.program("plugins", "doctor", MMAR_RUNNER_PLUGINS=only)


@pytest.mark.slow
def test_their_own_tests_pass(work: Work) -> None:
    done = work.python("-m", "pytest", "-q", *map(work.plugin, plugin_kinds()))
    assert " passed" in done.stdout


def test_each_is_about_ten_lines_of_code(work: Work) -> None:
    for kind in plugin_kinds():
        (package,) = (p.parent for p in work.plugin(kind).glob("*/plugin.py"))
        (module,) = set(package.glob("*.py")) - {package / "plugin.py", package / "__init__.py"}
        code = re.sub(r'"""(.|\n)*?"""', "", module.read_text())
        lines = [line for line in code.splitlines() if line.strip()]
        assert len(lines) <= 25, f"{module} is no beginning, but {len(lines)} lines"


def test_a_run_with_those_that_need_no_torch(work: Work) -> None:
    work.program("init", "mmar", "plain")
    work.named_as_said("plain", sorted(PLAIN))
    work.program("validate-mmar", "plain", "--strict")
    summary = work.summary("plain", "--clients-per-round", "2")
    first, second = summary["rounds"]
    assert [c["client"] for c in first["contributions"]] == ["site-1", "site-2"]
    assert [c["client"] for c in second["contributions"]] == ["site-1", "site-3"]
    assert 0 < second["metrics"]["size"] < first["metrics"]["size"]
    run = work.folder / "workspace/plain/run_1"
    assert len((run / "rounds.jsonl").read_text().splitlines()) == 2
    assert {file.name for file in (run / "results").iterdir()} == {
        *("site-1_0000.json", "site-2_0000.json"),
        *("site-1_0001.json", "site-3_0001.json"),
    }


@pytest.mark.slow
def test_a_run_with_the_parts_of_a_training(work: Work) -> None:
    parts = sorted(set(plugin_kinds()) - PLAIN - OF_NO_MMAR)
    work.program("init", "mmar", "deep")
    work.named_as_said("deep", parts)
    server = work.folder / "deep/config/config_fed_server.json"
    train = json.loads((work.folder / "deep/config/config_train.json").read_text())["train"]
    work.merge(server, "model_persistor", {"args": {"model": train["model"]}})
    work.merge(server, "", {"handlers": []})
    work.program("validate-mmar", "deep", "--strict")
    first, second = work.summary("deep")["rounds"]
    assert second["metrics"]["train_loss"] < first["metrics"]["train_loss"]
    assert 0 <= second["metrics"]["val_ownmetric"] <= 1
